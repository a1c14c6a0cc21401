//! Owns the question where the next frame of a stream ends, and how a reply is framed in turn. It resumes where it
//! stopped and looks at no byte twice. Knows nothing of connections.

use memchr::memmem::Finder;

use crate::config::Config;
use crate::handler::FrameEnd;
use crate::options::Framing;

/// How far into its first, incomplete frame a connection has looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Bytes that were looked at.
    seen: usize,
    /// It is no use to look again with fewer bytes than this.
    need: usize,
}

impl Scan {
    /// How many bytes the frame has at the least, its beginning included.
    pub(crate) fn need(&self) -> usize {
        self.need
    }
}

/// What stands at the beginning of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A whole frame of so many bytes.
    Frame(usize),
    /// The beginning of one.
    Incomplete,
    /// The beginning of one that would pass max_frame_bytes.
    TooLarge,
    /// Not the protocol.
    Refused,
}

/// The framing of a server, ready to cut.
#[derive(Debug)]
pub(crate) struct Framer {
    kind: Kind,
    strip: bool,
    max_frame_bytes: usize,
}

#[derive(Debug)]
enum Kind {
    Raw,
    Delimiter(Box<Finder<'static>>),
    LengthPrefix { width: usize, big_endian: bool },
    Fixed(usize),
    Custom,
}

impl Framer {
    pub(crate) fn new(config: &Config) -> Self {
        let (kind, strip) = match &config.framing {
            Framing::Raw => (Kind::Raw, false),
            Framing::Delimiter { delimiter, strip } => {
                (Kind::Delimiter(Box::new(Finder::new(delimiter).into_owned())), *strip)
            }
            Framing::LengthPrefix { width, big_endian, strip } => {
                (Kind::LengthPrefix { width: *width as usize, big_endian: *big_endian }, *strip)
            }
            Framing::Fixed(bytes) => (Kind::Fixed(*bytes), false),
            Framing::Custom => (Kind::Custom, false),
        };
        Framer { kind, strip, max_frame_bytes: config.max_frame_bytes }
    }

    /// Raw bytes have no boundaries: what has not begun may join.
    pub(crate) fn is_raw(&self) -> bool {
        matches!(self.kind, Kind::Raw)
    }

    /// What stands at the beginning of `bytes`, of which `scan` says how much an earlier call has seen. After a frame
    /// the scan stands at the beginning of the next.
    pub(crate) fn next(&self, bytes: &[u8], scan: &mut Scan, custom: impl FnOnce(&[u8], usize) -> FrameEnd) -> Next {
        if bytes.is_empty() || bytes.len() < scan.need {
            return Next::Incomplete;
        }
        let end = match &self.kind {
            Kind::Raw => Ok(bytes.len().min(self.max_frame_bytes)),
            Kind::Fixed(frame_bytes) => Ok(*frame_bytes),
            Kind::LengthPrefix { width, big_endian } => match bytes.get(..*width) {
                // A sum that overflows is too large for any limit.
                Some(header) => Ok(usize::try_from(number(header, *big_endian))
                    .ok()
                    .and_then(|payload| payload.checked_add(*width))
                    .unwrap_or(usize::MAX)),
                None => Err(*width),
            },
            Kind::Delimiter(finder) => self.find(finder, bytes, scan.seen),
            Kind::Custom => match custom(bytes, scan.seen) {
                FrameEnd::At(0) | FrameEnd::Refused => return Next::Refused,
                FrameEnd::At(end) => Ok(end),
                FrameEnd::Unknown => Err(bytes.len() + 1),
            },
        };
        match end {
            Ok(end) | Err(end) if end > self.max_frame_bytes || end == usize::MAX => Next::TooLarge,
            Ok(end) if end <= bytes.len() => {
                *scan = Scan::default();
                Next::Frame(end)
            }
            Ok(need) | Err(need) => {
                *scan = Scan { seen: bytes.len(), need };
                Next::Incomplete
            }
        }
    }

    /// How much of `next` completes the frame that `partial` begins, of which `scan` says how much was seen; all of it
    /// where what they begin is refused. `None` where it does not, or only a callback could tell.
    pub(crate) fn completed_by(&self, partial: &[u8], next: &[u8], scan: Scan) -> Option<usize> {
        let whole =
            |frame_bytes: usize| frame_bytes.checked_sub(partial.len()).filter(|missing| *missing <= next.len());
        match &self.kind {
            Kind::Raw => Some(next.len()),
            Kind::Fixed(frame_bytes) => whole(*frame_bytes),
            Kind::LengthPrefix { width, .. } if partial.len() >= *width => whole(scan.need),
            // A header that is complete now says how much more there must be.
            Kind::LengthPrefix { .. } => {
                let head: Vec<u8> = partial.iter().chain(next).copied().collect();
                match self.next(&head, &mut Scan::default(), |_, _| FrameEnd::Unknown) {
                    Next::Frame(frame_bytes) => whole(frame_bytes),
                    Next::Incomplete => None,
                    Next::TooLarge | Next::Refused => Some(next.len()),
                }
            }
            Kind::Delimiter(finder) => {
                let overlap = partial.len().min(finder.needle().len() - 1);
                let joint: Vec<u8> = partial[partial.len() - overlap..].iter().chain(next).copied().collect();
                finder.find(&joint).map(|at| at + finder.needle().len() - overlap)
            }
            Kind::Custom => None,
        }
    }

    /// The end of the first delimiter, or how many bytes there must be before it is worth looking again. A delimiter
    /// may have begun within the bytes that were seen.
    fn find(&self, finder: &Finder<'_>, bytes: &[u8], seen: usize) -> Result<usize, usize> {
        let width = finder.needle().len();
        let from = seen.saturating_sub(width - 1);
        match finder.find(&bytes[from..]) {
            Some(at) => Ok(from + at + width),
            None => Err(bytes.len() + 1),
        }
    }

    /// The part of a frame that the handler sees.
    pub(crate) fn payload<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        match &self.kind {
            Kind::Delimiter(finder) if self.strip => &frame[..frame.len() - finder.needle().len()],
            Kind::LengthPrefix { width, .. } if self.strip => &frame[*width..],
            Kind::Raw | Kind::Delimiter(_) | Kind::LengthPrefix { .. } | Kind::Fixed(_) | Kind::Custom => frame,
        }
    }

    /// Begins a message at the end of `buffer`; its payload is appended next.
    #[inline]
    pub(crate) fn begin_message(&self, buffer: &mut Vec<u8>) {
        if self.strip
            && let Kind::LengthPrefix { width, .. } = &self.kind
        {
            buffer.resize(buffer.len() + width, 0);
        }
    }

    /// Ends the message that began at `start`.
    #[inline]
    pub(crate) fn end_message(&self, buffer: &mut Vec<u8>, start: usize) {
        if self.strip {
            self.end_stripped(buffer, start);
        }
    }

    fn end_stripped(&self, buffer: &mut Vec<u8>, start: usize) {
        match &self.kind {
            Kind::Delimiter(finder) => buffer.extend_from_slice(finder.needle()),
            Kind::LengthPrefix { width, big_endian } => {
                let payload = (buffer.len() - start - width) as u64;
                debug_assert!(*width == 8 || payload >> (8 * width) == 0, "max_payload_bytes was not heeded");
                let header = &mut buffer[start..start + width];
                if *big_endian {
                    header.copy_from_slice(&payload.to_be_bytes()[8 - width..]);
                } else {
                    header.copy_from_slice(&payload.to_le_bytes()[..*width]);
                }
            }
            Kind::Raw | Kind::Fixed(_) | Kind::Custom => {}
        }
    }

    /// What the framing adds to a payload, in bytes.
    pub(crate) fn overhead_bytes(&self) -> usize {
        match &self.kind {
            Kind::Delimiter(finder) if self.strip => finder.needle().len(),
            Kind::LengthPrefix { width, .. } if self.strip => *width,
            Kind::Raw | Kind::Delimiter(_) | Kind::LengthPrefix { .. } | Kind::Fixed(_) | Kind::Custom => 0,
        }
    }

    /// The longest payload that a message can carry.
    pub(crate) fn max_payload_bytes(&self) -> usize {
        match &self.kind {
            Kind::LengthPrefix { width, .. } if self.strip && *width < size_of::<usize>() => (1 << (8 * width)) - 1,
            Kind::Raw | Kind::Delimiter(_) | Kind::LengthPrefix { .. } | Kind::Fixed(_) | Kind::Custom => usize::MAX,
        }
    }
}

/// The unsigned number in 1 to 8 bytes.
fn number(bytes: &[u8], big_endian: bool) -> u64 {
    let append = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    if big_endian { bytes.iter().fold(0, append) } else { bytes.iter().rev().fold(0, append) }
}

//! Properties of framing: whatever a stream consists of and however it is cut, the frames are those that the definition
//! says, which [`naive`] spells out without resuming anything. Knows nothing of connections; their properties use
//! [`naive`] and the streams made here.

use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::config::Config;
use crate::framing::{Framer, Next, Scan};
use crate::handler::FrameEnd;
use crate::options::{Framing, Mode, Options};

/// What follows the whole frames of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// The beginning of a frame, or nothing.
    Partial,
    TooLarge,
    Refused,
}

/// A protocol for custom framing. The first byte says which of three kinds a frame is of: one whose third byte counts the
/// bytes after it, one that ends with the next 0xFE, and none at all.
pub(crate) fn custom_end(bytes: &[u8]) -> FrameEnd {
    match bytes {
        [] => FrameEnd::Unknown,
        [0xFF, ..] => FrameEnd::Refused,
        [kind, rest @ ..] if kind % 2 == 1 => match rest {
            [_, count, ..] => FrameEnd::At(3 + usize::from(*count)),
            [] | [_] => FrameEnd::Unknown,
        },
        [_, rest @ ..] => {
            rest.iter().position(|byte| *byte == 0xFE).map_or(FrameEnd::Unknown, |at| FrameEnd::At(at + 2))
        }
    }
}

/// Where the first frame of `bytes` ends, or how many bytes it has at least.
fn first_end(framing: &Framing, max: usize, bytes: &[u8]) -> Result<u128, Result<u128, Rest>> {
    let len = bytes.len() as u128;
    match framing {
        Framing::Raw => Ok(len.min(max as u128)),
        Framing::Fixed(frame_bytes) => Ok(*frame_bytes as u128),
        Framing::Delimiter { delimiter, .. } => {
            let end = (1..=bytes.len()).find(|end| bytes[..*end].ends_with(delimiter));
            end.map(|end| end as u128).ok_or(Ok(len + 1))
        }
        Framing::LengthPrefix { width, big_endian, .. } => {
            let width = *width as usize;
            let header = bytes.get(..width).ok_or(Ok(width as u128))?;
            let weigh = |(place, byte): (usize, &u8)| u128::from(*byte) << (8 * place);
            let payload: u128 = if *big_endian {
                header.iter().rev().enumerate().map(weigh).sum()
            } else {
                header.iter().enumerate().map(weigh).sum()
            };
            Ok(payload + width as u128)
        }
        Framing::Custom => match custom_end(bytes) {
            FrameEnd::At(end) => Ok(end as u128),
            FrameEnd::Unknown => Err(Ok(len + 1)),
            FrameEnd::Refused => Err(Err(Rest::Refused)),
        },
    }
}

/// The whole frames of a stream, and what follows them. Raw bytes make the frames of one read that has them all.
pub(crate) fn naive(framing: &Framing, max: usize, bytes: &[u8]) -> (Vec<Range<usize>>, Rest) {
    let mut frames = Vec::new();
    let mut begin = 0;
    while begin < bytes.len() {
        let rest = &bytes[begin..];
        let end = match first_end(framing, max, rest) {
            Err(Err(rest)) => return (frames, rest),
            Ok(least) | Err(Ok(least)) if least > max as u128 => return (frames, Rest::TooLarge),
            Ok(end) if end <= rest.len() as u128 => end as usize,
            Ok(_) | Err(Ok(_)) => break,
        };
        frames.push(begin..begin + end);
        begin += end;
    }
    (frames, Rest::Partial)
}

/// What the handler sees of a frame.
pub(crate) fn naive_payload<'a>(framing: &Framing, frame: &'a [u8]) -> &'a [u8] {
    match framing {
        Framing::Delimiter { delimiter, strip: true } => frame.strip_suffix(delimiter.as_slice()).expect("a frame"),
        Framing::LengthPrefix { width, strip: true, .. } => &frame[*width as usize..],
        Framing::Raw
        | Framing::Delimiter { .. }
        | Framing::LengthPrefix { .. }
        | Framing::Fixed(_)
        | Framing::Custom => frame,
    }
}

// ---- Streams -------------------------------------------------------------------------------------------------------

/// What a peer sends.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// A frame as it should be, as far as these bytes can be one.
    Frame(Vec<u8>),
    /// The beginning of a frame, or of its delimiter.
    Almost(usize),
    /// Anything.
    Noise(Vec<u8>),
}

/// Bytes among which the delimiters of [`framings`] come up.
fn payload_byte() -> impl Strategy<Value = u8> {
    prop_oneof![8 => b'a'..=b'b', 1 => any::<u8>()]
}

/// `noise`: how many pieces of 100 are no frame.
pub(crate) fn pieces(noise: u32) -> impl Strategy<Value = Vec<Piece>> {
    let piece = prop_oneof![
        100 - noise => vec(payload_byte(), 0..14).prop_map(Piece::Frame),
        noise => (0..16_usize).prop_map(Piece::Almost),
        noise => vec(payload_byte(), 0..30).prop_map(Piece::Noise),
    ];
    vec(piece, 0..40)
}

fn delimiters() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        // Those that overlap with themselves: "aa", "abab", "aabaa".
        4 => vec(b'a'..=b'b', 1..=16),
        2 => (vec(b'a'..=b'b', 1..=5), 1..=3_usize).prop_map(|(part, times)| part.repeat(times)),
        1 => Just(b"\r\n".to_vec()),
        1 => vec(any::<u8>(), 1..=16),
    ]
}

/// All but raw.
pub(crate) fn framings() -> impl Strategy<Value = Framing> {
    let width = prop_oneof![Just(1_u32), Just(2), Just(4), Just(8)];
    prop_oneof![
        4 => (delimiters(), any::<bool>()).prop_map(|(delimiter, strip)| Framing::Delimiter { delimiter, strip }),
        4 => (width, any::<bool>(), any::<bool>())
            .prop_map(|(width, big_endian, strip)| Framing::LengthPrefix { width, big_endian, strip }),
        1 => (1..16_usize).prop_map(Framing::Fixed),
        2 => Just(Framing::Custom),
    ]
}

pub(crate) fn frame(framing: &Framing, payload: &[u8]) -> Vec<u8> {
    let mut frame = payload.to_vec();
    match framing {
        Framing::Raw => {}
        Framing::Fixed(frame_bytes) => frame.resize(*frame_bytes, b'x'),
        Framing::Delimiter { delimiter, .. } => frame.extend_from_slice(delimiter),
        Framing::LengthPrefix { width, big_endian, .. } => {
            let len = payload.len() as u64;
            let width = *width as usize;
            let header =
                if *big_endian { len.to_be_bytes()[8 - width..].to_vec() } else { len.to_le_bytes()[..width].to_vec() };
            frame.splice(..0, header);
        }
        Framing::Custom if payload.len() % 2 == 1 => {
            frame.splice(..0, [b'a', b'-', payload.len() as u8]);
        }
        Framing::Custom => {
            frame.retain(|byte| *byte != 0xFE);
            frame.insert(0, b'b');
            frame.push(0xFE);
        }
    }
    frame
}

pub(crate) fn stream(framing: &Framing, pieces: &[Piece]) -> Vec<u8> {
    let mut stream = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Frame(payload) => stream.extend(frame(framing, payload)),
            Piece::Almost(len) => {
                let frame = match framing {
                    Framing::Delimiter { delimiter, .. } => delimiter.clone(),
                    Framing::Raw | Framing::LengthPrefix { .. } | Framing::Fixed(_) | Framing::Custom => {
                        frame(framing, b"aab")
                    }
                };
                stream.extend(frame.iter().take(*len));
            }
            Piece::Noise(bytes) => stream.extend(bytes),
        }
    }
    stream
}

/// `max` is raised to what the framing needs.
pub(crate) fn max_for(framing: &Framing, max: usize) -> usize {
    max.max(match framing {
        Framing::Raw | Framing::Custom => 1,
        Framing::Delimiter { delimiter, .. } => delimiter.len(),
        Framing::LengthPrefix { width, .. } => *width as usize,
        Framing::Fixed(frame_bytes) => *frame_bytes,
    })
}

// ---- Properties ----------------------------------------------------------------------------------------------------

fn config(framing: &Framing, max: usize) -> Config {
    let mut options = Options::new();
    options.set_framing(framing.clone()).expect("valid").set_max_frame_bytes(max).expect("valid");
    options.set_memory_limit_bytes(usize::MAX).expect("valid").check(Mode::Single).expect("valid")
}

/// A framer at work on a stream of which it gets more and more.
struct Cutter<'a> {
    framing: &'a Framing,
    framer: Framer,
    max: usize,
    scan: Scan,
    /// Of the first frame that is not whole: how many bytes custom framing has seen, and how many it asked for.
    seen: usize,
    asked: usize,
    /// Where the frames so far have ended.
    frames: Vec<Range<usize>>,
    rest: Rest,
}

impl<'a> Cutter<'a> {
    fn new(framing: &'a Framing, max: usize) -> Self {
        let framer = Framer::new(&config(framing, max));
        Cutter {
            framing,
            framer,
            max,
            scan: Scan::default(),
            seen: 0,
            asked: 0,
            frames: Vec::new(),
            rest: Rest::Partial,
        }
    }

    /// As a connection does: from the end of the last frame on, all that has been read.
    fn cut(&mut self, stream: &[u8]) {
        while self.rest == Rest::Partial {
            let begin = self.frames.last().map_or(0, |frame| frame.end);
            let bytes = &stream[begin..];
            let (seen, asked) = (&mut self.seen, &mut self.asked);
            let custom = |bytes: &[u8], told: usize| {
                assert_eq!(told, *seen, "`seen` is what an earlier call was given");
                assert!(bytes.len() > told, "it is not asked again about the same bytes");
                assert!(bytes.len() >= *asked, "it is not asked again before there are the bytes it named");
                *seen = bytes.len();
                let end = custom_end(bytes);
                *asked = if let FrameEnd::At(end) = end { end } else { 0 };
                end
            };
            match self.framer.next(bytes, &mut self.scan, custom) {
                Next::Frame(len) => {
                    assert!((1..=self.max).contains(&len));
                    self.frames.push(begin..begin + len);
                    self.check_frame(&stream[begin..begin + len]);
                    (self.seen, self.asked) = (0, 0);
                }
                Next::Incomplete => return,
                Next::TooLarge => self.rest = Rest::TooLarge,
                Next::Refused => self.rest = Rest::Refused,
            }
        }
    }

    /// What the handler sees of it, framed again as a reply, is the same bytes.
    fn check_frame(&self, frame: &[u8]) {
        let payload = self.framer.payload(frame);
        assert_eq!(payload, naive_payload(self.framing, frame));
        assert!(payload.len() <= self.framer.max_payload_bytes());
        assert_eq!(frame.len() - payload.len(), self.framer.overhead_bytes());
        let mut buffer = b"before".to_vec();
        self.framer.begin_message(&mut buffer);
        buffer.extend_from_slice(payload);
        self.framer.end_message(&mut buffer, b"before".len());
        assert_eq!(buffer, [b"before", frame].concat());
    }
}

pub(crate) fn check_cut(framing: &Framing, max: usize, stream: &[u8], chunks: &[usize]) {
    let mut cutter = Cutter::new(framing, max);
    let mut read = 0_usize;
    for chunk in chunks.iter().copied().chain([usize::MAX]) {
        read = stream.len().min(read.saturating_add(chunk));
        cutter.cut(&stream[..read]);
        assert_eq!((cutter.frames.clone(), cutter.rest), naive(framing, max, &stream[..read]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_are_those_of_the_definition_however_the_stream_is_cut(
        (framing, max, pieces) in (framings(), 1..60_usize, pieces(6)),
        chunks in vec(0..12_usize, 0..60),
    ) {
        let max = max_for(&framing, max);
        check_cut(&framing, max, &stream(&framing, &pieces), &chunks);
    }

    #[test]
    fn bytes_of_no_meaning_are_cut_like_any_others(
        framing in framings(),
        max in 1..40_usize,
        stream in vec(prop_oneof![3 => b'a'..=b'b', 1 => 0..4_u8, 1 => any::<u8>()], 0..120),
        chunks in vec(0..12_usize, 0..30),
    ) {
        check_cut(&framing, max_for(&framing, max), &stream, &chunks);
    }

    #[test]
    fn raw_bytes_come_at_once_and_at_most_max_frame_bytes_together(
        max in 1..20_usize,
        chunks in vec(vec(any::<u8>(), 0..50), 0..20),
    ) {
        let mut cutter = Cutter::new(&Framing::Raw, max);
        let mut stream = Vec::new();
        for chunk in &chunks {
            let before = stream.len();
            let frames_before = cutter.frames.len();
            stream.extend_from_slice(chunk);
            cutter.cut(&stream);
            let expected: Vec<_> =
                (before..stream.len()).step_by(max).map(|begin| begin..stream.len().min(begin + max)).collect();
            prop_assert_eq!(&cutter.frames[frames_before..], expected);
        }
    }
}

#[test]
fn a_length_beyond_any_memory_is_too_large() {
    for big_endian in [true, false] {
        for strip in [true, false] {
            let framing = Framing::LengthPrefix { width: 8, big_endian, strip };
            // With the header's own 8 bytes these pass the largest number there is, reach it, or almost do.
            for payload in [u64::MAX, u64::MAX - 6, u64::MAX - 7, u64::MAX - 8, 1 << 63] {
                let header = if big_endian { payload.to_be_bytes() } else { payload.to_le_bytes() };
                for max in [8, 1 << 20, 1 << 62] {
                    check_cut(&framing, max, &header, &[3, 4, 1]);
                    assert_eq!(naive(&framing, max, &header), (vec![], Rest::TooLarge));
                }
                let mut scan = Scan::default();
                let framer = Framer::new(&config(&framing, usize::MAX));
                let next = framer.next(&header, &mut scan, |_, _| FrameEnd::Refused);
                assert_eq!(next == Next::TooLarge, payload >= u64::MAX - 8);
            }
        }
    }
}

#[test]
fn payloads_of_zero_bytes_are_frames() {
    for strip in [true, false] {
        for delimiter in [b"a".as_slice(), b"aa", b"abab"] {
            let framing = Framing::Delimiter { delimiter: delimiter.to_vec(), strip };
            let stream = delimiter.repeat(5);
            check_cut(&framing, delimiter.len(), &stream, &[1, 2, 1, 3]);
            assert_eq!(naive(&framing, delimiter.len(), &stream).0.len(), 5);
        }
        for width in [1, 2, 4, 8] {
            let framing = Framing::LengthPrefix { width, big_endian: true, strip };
            let stream = vec![0; 5 * width as usize];
            check_cut(&framing, width as usize, &stream, &[1, 2, 1, 3]);
            assert_eq!(naive(&framing, width as usize, &stream).0.len(), 5);
        }
    }
}

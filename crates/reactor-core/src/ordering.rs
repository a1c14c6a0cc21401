//! Owns which reply may leave now: finished replies are held until those before them have left. Knows nothing of
//! bytes on a wire.

use std::collections::VecDeque;

/// How a connection goes on after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With its next request.
    Continue,
    /// It is closed once this reply is sent.
    Close,
    /// There is no reply, and it is closed.
    Failed,
    /// The reply would have passed its limit: there is none, and it is closed.
    TooLarge,
}

/// Boxed where it is used: 8 bytes in each idle connection rather than 32.
type Held = VecDeque<Option<(Vec<u8>, Ending)>>;

/// The replies of one connection, by the number of their request; numbers are given from 0 without gaps.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// The request whose reply leaves next.
    due: u64,
    held_bytes: usize,
    /// Replies from `due` on that have finished; `None` for one that is still in the making. Most connections never
    /// hold one.
    held: Option<Box<Held>>,
}

impl Window {
    /// Whether the reply of this request may leave as soon as it is finished.
    pub(crate) fn is_due(&self, request: u64) -> bool {
        self.due == request
    }

    /// The request whose reply leaves next.
    pub(crate) fn due(&self) -> u64 {
        self.due
    }

    /// Whether the reply of this request has neither left nor finished.
    pub(crate) fn is_open(&self, request: u64) -> bool {
        let Some(position) = request.checked_sub(self.due) else { return false };
        let held = self.held.as_ref().and_then(|held| held.get(usize::try_from(position).ok()?));
        !matches!(held, Some(Some(_)))
    }

    /// A request whose reply had finished has failed after all: its reply is discarded where it has not left. Says
    /// whether it has.
    pub(crate) fn fail(&mut self, request: u64) -> bool {
        let Some(position) = request.checked_sub(self.due).and_then(|position| usize::try_from(position).ok()) else {
            return true;
        };
        let reply = self.held.as_mut().and_then(|held| held.get_mut(position)).and_then(Option::as_mut);
        if let Some((bytes, ending)) = reply {
            self.held_bytes -= bytes.len();
            bytes.clear();
            *ending = Ending::Failed;
        }
        false
    }

    /// `count` replies from the due one on have left by themselves.
    pub(crate) fn left(&mut self, count: u64) {
        self.due += count;
        if let Some(held) = &mut self.held {
            for _ in 0..count.min(held.len() as u64) {
                if let Some(Some((bytes, _))) = held.pop_front() {
                    self.held_bytes -= bytes.len();
                }
            }
        }
    }

    /// Holds a finished reply until [`pop`](Window::pop) lets it leave. A second one of the same request, or one that
    /// has left, is dropped.
    pub(crate) fn hold(&mut self, request: u64, bytes: Vec<u8>, ending: Ending) {
        let Some(position) = request.checked_sub(self.due).and_then(|distance| usize::try_from(distance).ok()) else {
            return;
        };
        let held = self.held.get_or_insert_default();
        if held.len() <= position {
            held.resize_with(position + 1, || None);
        }
        if held[position].is_none() {
            self.held_bytes += bytes.len();
            held[position] = Some((bytes, ending));
        }
    }

    /// The due reply, if it has finished.
    pub(crate) fn pop(&mut self) -> Option<(Vec<u8>, Ending)> {
        let held = self.held.as_mut()?;
        let reply = held.front_mut()?.take()?;
        held.pop_front();
        self.due += 1;
        self.held_bytes -= reply.0.len();
        Some(reply)
    }

    /// Whether it holds no reply.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.as_ref().is_none_or(|held| held.is_empty())
    }

    /// Bytes of the replies that are held.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Forgets all that is held.
    pub(crate) fn clear(&mut self) {
        self.held = None;
        self.held_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_leave_in_request_order_whatever_order_they_finish_in() {
        let mut window = Window::default();
        window.hold(2, b"c".to_vec(), Ending::Continue);
        window.hold(1, b"b".to_vec(), Ending::Close);
        assert_eq!(window.pop(), None, "the first is still in the making");
        assert_eq!(window.held_bytes(), 2);
        assert!(window.is_due(0));
        window.left(1);
        assert_eq!(window.pop(), Some((b"b".to_vec(), Ending::Close)));
        assert_eq!(window.pop(), Some((b"c".to_vec(), Ending::Continue)));
        assert_eq!(window.pop(), None);
        assert!(window.is_due(3) && window.held_bytes() == 0);
    }

    #[test]
    fn a_second_reply_to_one_request_is_dropped() {
        let mut window = Window::default();
        window.hold(0, b"a".to_vec(), Ending::Continue);
        window.hold(0, b"z".to_vec(), Ending::Continue);
        assert_eq!(window.pop(), Some((b"a".to_vec(), Ending::Continue)));
        window.hold(0, b"z".to_vec(), Ending::Continue);
        assert_eq!(window.pop(), None);
        assert!(window.is_due(1));
    }
}

//! The requests of one connection that are unanswered, and since when, oldest first. Knows nothing of bytes or sockets.

use std::collections::VecDeque;

/// Requests that count from the same moment.
struct Batch {
    since_ns: u64,
    requests: u64,
}

/// What a connection waits for.
pub(crate) struct Unanswered {
    /// Outside of the queue, which is thus not touched where requests are sent as one batch after the other. Empty only
    /// where there is nothing at all.
    oldest: Batch,
    later: VecDeque<Batch>,
    requests: u64,
}

impl Unanswered {
    /// Nothing yet.
    pub(crate) fn new() -> Unanswered {
        Unanswered { oldest: Batch { since_ns: 0, requests: 0 }, later: VecDeque::new(), requests: 0 }
    }

    /// How many there are.
    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    /// So many more.
    pub(crate) fn add(&mut self, requests: u64, since_ns: u64) {
        self.requests += requests;
        let newest = self.later.back_mut().unwrap_or(&mut self.oldest);
        if newest.requests == 0 {
            *newest = Batch { since_ns, requests };
        } else if newest.since_ns == since_ns {
            newest.requests += requests;
        } else {
            self.later.push_back(Batch { since_ns, requests });
        }
    }

    /// Takes the oldest off: calls `each` with since when and how many, until `answered` are through. The caller has
    /// seen to it that there are as many.
    pub(crate) fn take(&mut self, mut answered: u64, mut each: impl FnMut(u64, u64)) {
        self.requests -= answered;
        while answered > 0 {
            let some = self.oldest.requests.min(answered);
            each(self.oldest.since_ns, some);
            answered -= some;
            self.oldest.requests -= some;
            if self.oldest.requests == 0 {
                let Some(next) = self.later.pop_front() else { return };
                self.oldest = next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(unanswered: &mut Unanswered, answered: u64) -> Vec<(u64, u64)> {
        let mut all = Vec::new();
        unanswered.take(answered, |since_ns, requests| all.push((since_ns, requests)));
        all
    }

    #[test]
    fn replies_belong_to_the_oldest_requests() {
        let mut unanswered = Unanswered::new();
        unanswered.add(2, 10);
        unanswered.add(1, 10);
        unanswered.add(4, 20);
        unanswered.add(1, 30);
        assert_eq!(unanswered.requests(), 8);
        assert_eq!(taken(&mut unanswered, 1), [(10, 1)]);
        assert_eq!(taken(&mut unanswered, 4), [(10, 2), (20, 2)]);
        unanswered.add(1, 40);
        assert_eq!(taken(&mut unanswered, 4), [(20, 2), (30, 1), (40, 1)]);
        assert_eq!(unanswered.requests(), 0);
    }

    /// Nothing of what was answered sticks to what is sent next, not even at the same moment.
    #[test]
    fn an_emptied_list_begins_anew() {
        let mut unanswered = Unanswered::new();
        for since_ns in [10, 10, 20] {
            unanswered.add(16, since_ns);
            assert_eq!(taken(&mut unanswered, 16), [(since_ns, 16)]);
        }
    }
}

//! Whether the loop rests before it polls again. Knows nothing of sockets, and reads no clock.
//!
//! A generator that is quicker than its server and polls as soon as it can finds few replies each time, so what it is
//! ahead goes into polling: it is busy all the time, and costs as much a request as the server does. While most
//! connections wait for the server, which then has enough to do, it may as well let replies gather, as a network card
//! does (interrupt coalescing). A reply that came meanwhile has waited for it, and its latency counts that: a rest is
//! therefore a small share of what latencies are anyway.

use std::time::Duration;

/// With fewer connections the server may have run out of work before the rest is over.
const FEWEST_CONNECTIONS: usize = 32;
/// A rest is at most this part of the latency of the last reply.
const PART: u64 = 8;
/// A shorter rest costs more than it saves: falling asleep and waking up are some microseconds.
const SHORTEST_NS: u64 = 10_000;

/// When to rest, and for how long.
pub(crate) struct Rest {
    longest_ns: u64,
    connections: usize,
}

impl Rest {
    /// For a run of so many connections; never, with a longest rest of 0.
    pub(crate) fn new(longest: Duration, connections: usize) -> Rest {
        Rest { longest_ns: crate::clock::ns(longest), connections }
    }

    /// After a turn in which so many connections were ready and the last reply had taken so long.
    pub(crate) fn after(&self, ready: usize, latency_ns: u64) -> Option<Duration> {
        if self.connections < FEWEST_CONNECTIONS || ready >= self.connections / 2 {
            return None;
        }
        let rest_ns = (latency_ns / PART).min(self.longest_ns);
        (rest_ns >= SHORTEST_NS).then(|| Duration::from_nanos(rest_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_micros(100);

    #[test]
    fn a_rest_is_a_small_part_of_the_latency_and_bounded() {
        let rest = Rest::new(MOST, 128);
        assert_eq!(rest.after(10, 400_000), Some(Duration::from_micros(50)));
        assert_eq!(rest.after(10, 1_000_000_000), Some(MOST));
        assert_eq!(rest.after(10, 60_000), None);
    }

    #[test]
    fn nobody_rests_while_replies_wait_or_the_server_may_run_dry() {
        assert_eq!(Rest::new(MOST, 128).after(64, 400_000), None);
        assert_eq!(Rest::new(MOST, 31).after(1, 400_000), None);
        assert_eq!(Rest::new(Duration::ZERO, 128).after(10, 400_000), None);
    }
}

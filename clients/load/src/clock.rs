//! Time: of the wall since the start, and of the processors that processes have used. Knows nothing of what is
//! measured.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

/// Nanoseconds since the system's start. Read for every reply, so without the arithmetic of `Instant`.
#[derive(Clone, Copy)]
pub(crate) struct Clock;

impl Clock {
    pub(crate) fn now_ns(self) -> Result<u64> {
        let now = ClockId::CLOCK_MONOTONIC.now().context("reading the monotonic clock")?;
        // Neither is ever negative (clock_gettime(2)).
        Ok(now.tv_sec().cast_unsigned() * 1_000_000_000 + now.tv_nsec().cast_unsigned())
    }
}

/// Nanoseconds; a duration of more than 584 years is cut there.
pub(crate) fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The CPU time of processes: user and system, all threads, those that have ended included (clock_getcpuclockid(3)).
/// To the nanosecond, where /proc/PID/stat counts ticks of 10 ms.
pub(crate) struct CpuTime {
    own: ClockId,
    servers: Vec<(i32, ClockId)>,
}

impl CpuTime {
    /// Of this process and of those with the given ids.
    pub(crate) fn of(servers: &[i32]) -> Result<CpuTime> {
        let clock = |&id: &i32| {
            let clock = clock_getcpuclockid(Pid::from_raw(id));
            Ok((id, clock.with_context(|| format!("finding the CPU clock of process {id}"))?))
        };
        let own = ClockId::CLOCK_PROCESS_CPUTIME_ID;
        Ok(CpuTime { own, servers: servers.iter().map(clock).collect::<Result<_>>()? })
    }

    /// Of this process, in ns.
    pub(crate) fn own_ns(&self) -> Result<u64> {
        read(self.own).context("reading this process's CPU clock")
    }

    /// Of the servers together, in ns; none where none was named.
    pub(crate) fn servers_ns(&self) -> Result<Option<u64>> {
        let mut total = None;
        for &(id, clock) in &self.servers {
            let one = read(clock).with_context(|| format!("reading the CPU clock of process {id}: has it ended?"))?;
            total = Some(total.unwrap_or(0) + one);
        }
        Ok(total)
    }
}

fn read(clock: ClockId) -> Result<u64> {
    Ok(ns(Duration::from(clock.now()?)))
}

//! The loop of `reactor-load run`: requests over many connections, from one thread. Owns when requests are sent and
//! what is measured; knows nothing of how one connection sends and checks.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::sys::prctl;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::clock::{Clock, CpuTime, ns};
use crate::connection::{Connection, Script};
use crate::dial::Dialer;
use crate::latency::Latencies;
use crate::report::Report;
use crate::rest::Rest;
use crate::run::Args;
use crate::schedule::Schedule;

const EVENTS: usize = 1_024;
const READ_BYTES: usize = 256 * 1024;
const TIMER: Token = Token(usize::MAX);
/// For what is still unanswered when the time is over.
const DRAIN_NS: u64 = 10_000_000_000;
/// Without a single reply for as long, something is stuck.
const STALL_NS: u64 = 30_000_000_000;
/// How often that is looked at.
const LOOK_NS: u64 = 1_000_000_000;

/// Where in its life a run is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Warmup,
    Measuring,
    /// The figures are taken: what is unanswered is waited for and checked.
    Draining,
}

/// A run.
pub(crate) struct Load<'a> {
    args: &'a Args,
    connections: Vec<Connection<'a>>,
    /// When slow connections that pause go on, soonest first.
    paused: VecDeque<(u64, usize)>,
    poll: Poll,
    timer: TimerFd,
    clock: Clock,
    cpu: CpuTime,
    schedule: Option<Schedule>,
    /// For each connection: the due times of requests that have no room in flight.
    overdue: Vec<VecDeque<u64>>,
    phase: Phase,
    phase_ends_ns: u64,
    measured_from: Marks,
    /// Requests that may still be sent, where they are counted.
    left: u64,
    answered: u64,
    last_answer_ns: u64,
    /// Of the last reply on a connection that is not slow.
    last_latency_ns: u64,
    rest: Rest,
    quick: Latencies,
    slow: Latencies,
    report: Option<Report>,
}

/// Clocks at the beginning of what is measured.
#[derive(Default)]
struct Marks {
    at_ns: u64,
    own_cpu_ns: u64,
    server_cpu_ns: Option<u64>,
}

impl<'a> Load<'a> {
    /// All connections, open.
    pub(crate) fn open(args: &'a Args, quick: Script<'a>, slow: Script<'a>) -> Result<Load<'a>> {
        let total = args.connections + args.slow_connections;
        let mut dialer = Dialer::new(args.server, total)?;
        let poll = Poll::new().context("making a poller")?;
        let mut connections = Vec::with_capacity(total);
        for index in 0..total {
            let stream = dialer.open()?;
            stream.set_nonblocking(true)?;
            let mut stream = mio::net::TcpStream::from_std(stream);
            // Both at once and for good, edge-triggered: no change of a registration ever.
            let interests = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(index), interests).context("registering a connection")?;
            let script = if index < args.connections { quick } else { slow };
            connections.push(Connection::new(stream, script, index));
        }
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK).context("making a timer")?;
        let descriptor = timer.as_fd().as_raw_fd();
        poll.registry().register(&mut SourceFd(&descriptor), TIMER, Interest::READABLE)?;
        // Requests with a due time are to be sent at that time, so then there is no rest.
        let longest_rest = Duration::from_micros(if args.rate.is_some() { 0 } else { args.rest_us });
        // A rest is to end when it is over: the system may add 50 us otherwise (PR_SET_TIMERSLACK, prctl(2)).
        prctl::set_timerslack(1).context("having timers end in time")?;
        Ok(Load {
            args,
            connections,
            paused: VecDeque::new(),
            poll,
            timer,
            clock: Clock,
            cpu: CpuTime::of(&args.server_pid)?,
            schedule: None,
            overdue: vec![VecDeque::new(); if args.rate.is_some() { args.connections } else { 0 }],
            phase: Phase::Warmup,
            phase_ends_ns: 0,
            measured_from: Marks::default(),
            left: args.requests.unwrap_or(u64::MAX),
            answered: 0,
            last_answer_ns: 0,
            last_latency_ns: 0,
            rest: Rest::new(longest_rest, args.connections),
            quick: Latencies::new()?,
            slow: Latencies::new()?,
            report: None,
        })
    }

    /// The first requests. A run that counts requests measures from the first on.
    pub(crate) fn begin(&mut self) -> Result<()> {
        let now = self.clock.now_ns()?;
        self.last_answer_ns = now;
        self.phase_ends_ns = now + ns(Duration::from_millis(self.args.warmup_ms));
        if self.args.requests.is_some() || self.args.warmup_ms == 0 {
            self.measure_from(now)?;
        }
        self.schedule = self.args.rate.map(|rate| Schedule::new(now, rate));
        for index in 0..self.connections.len() {
            if index >= self.args.connections {
                self.send(index, 1, now)?;
            } else if self.schedule.is_none() {
                self.send(index, self.args.in_flight, now)?;
            }
        }
        Ok(())
    }

    /// Turn by turn, to the end.
    pub(crate) fn drive(&mut self) -> Result<Report> {
        let mut events = Events::with_capacity(EVENTS);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let now = self.clock.now_ns()?;
            self.issue(now)?;
            self.advance(now)?;
            if now.saturating_sub(self.last_answer_ns) > STALL_NS {
                bail!("the server has answered nothing for {} s", STALL_NS / 1_000_000_000);
            }
            if self.phase == Phase::Draining && self.connections.iter().all(|connection| connection.in_flight() == 0) {
                self.check_silence(&mut buffer)?;
                return self.report.take().context("the run was drained without having been measured");
            }
            match self.poll.poll(&mut events, Some(self.sleep(now)?)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("polling"),
            }
            let mut ready = 0;
            for event in &events {
                ready += 1;
                let Token(index) = event.token();
                if event.token() != TIMER {
                    self.serve(index, &mut buffer).with_context(|| format!("connection {}", index + 1))?;
                }
            }
            if let Some(rest) = self.rest.after(ready, self.last_latency_ns) {
                thread::sleep(rest);
            }
        }
    }

    /// All that a connection that is ready wants.
    #[inline]
    fn serve(&mut self, index: usize, buffer: &mut [u8]) -> Result<()> {
        self.connections[index].resume()?;
        loop {
            let (completed, more) = self.connections[index].receive(buffer)?;
            if completed > 0 {
                self.settle(index, completed)?;
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Records what was answered, and sends what may follow.
    #[inline]
    fn settle(&mut self, index: usize, completed: u64) -> Result<()> {
        let now = self.clock.now_ns()?;
        self.last_answer_ns = now;
        let is_slow = index >= self.args.connections;
        let latencies = if is_slow { &mut self.slow } else { &mut self.quick };
        let mut latency_ns = 0;
        self.connections[index].settle(completed, |since_ns, requests| {
            latency_ns = now.saturating_sub(since_ns);
            latencies.record(latency_ns, requests);
        });
        if is_slow {
            if self.args.slow_pause_ms == 0 {
                return self.send(index, 1, now);
            }
            self.paused.push_back((now + self.args.slow_pause_ms * 1_000_000, index));
            return Ok(());
        }
        self.last_latency_ns = latency_ns;
        self.answered += completed;
        if self.schedule.is_none() {
            return self.send(index, completed, now);
        }
        for _ in 0..completed {
            let Some(due) = self.overdue[index].pop_front() else { break };
            self.send(index, 1, due)?;
        }
        Ok(())
    }

    /// Sends requests, unless the run drains or as many as were asked for have been sent.
    #[inline]
    fn send(&mut self, index: usize, requests: u64, since_ns: u64) -> Result<()> {
        if self.phase == Phase::Draining {
            return Ok(());
        }
        let mut requests = requests;
        if index < self.args.connections {
            requests = requests.min(self.left);
            if self.args.requests.is_some() {
                self.left -= requests;
            }
        }
        if requests == 0 { Ok(()) } else { self.connections[index].send(requests, since_ns) }
    }

    /// Sends the requests whose time has come.
    fn issue(&mut self, now: u64) -> Result<()> {
        while let Some(&(due, index)) = self.paused.front()
            && due <= now
        {
            self.paused.pop_front();
            self.send(index, 1, now)?;
        }
        if self.phase == Phase::Draining {
            return Ok(());
        }
        while let Some((number, due)) = self.schedule.as_mut().and_then(|schedule| schedule.take(now)) {
            let index = usize::try_from(number % self.args.connections as u64)?;
            if self.connections[index].in_flight() < self.args.in_flight && self.overdue[index].is_empty() {
                self.send(index, 1, due)?;
            } else {
                self.overdue[index].push_back(due);
            }
        }
        Ok(())
    }

    /// Goes on to the next phase when its time has come.
    fn advance(&mut self, now: u64) -> Result<()> {
        match self.phase {
            Phase::Warmup if now >= self.phase_ends_ns => self.measure_from(now),
            Phase::Measuring if now >= self.phase_ends_ns || self.is_counted_out() => self.measure_to(now),
            Phase::Draining if now >= self.phase_ends_ns => {
                let unanswered: u64 = self.connections.iter().map(Connection::in_flight).sum();
                bail!("{unanswered} requests were not answered within {} s of the end", DRAIN_NS / 1_000_000_000);
            }
            Phase::Warmup | Phase::Measuring | Phase::Draining => Ok(()),
        }
    }

    fn is_counted_out(&self) -> bool {
        self.args.requests.is_some_and(|requests| self.answered >= requests)
    }

    fn measure_from(&mut self, now: u64) -> Result<()> {
        self.phase = Phase::Measuring;
        self.phase_ends_ns = match self.args.requests {
            Some(_) => u64::MAX,
            None => now + ns(Duration::from_millis(self.args.duration_ms)),
        };
        self.answered = 0;
        self.quick.reset();
        self.slow.reset();
        let own_cpu_ns = self.cpu.own_ns()?;
        self.measured_from = Marks { at_ns: now, own_cpu_ns, server_cpu_ns: self.cpu.servers_ns()? };
        Ok(())
    }

    fn measure_to(&mut self, now: u64) -> Result<()> {
        let from = &self.measured_from;
        let request_bytes = self.connections.first().map_or(0, Connection::exchange_bytes);
        let server_cpu_ns = self.cpu.servers_ns()?.zip(from.server_cpu_ns).map(|(to, from)| to - from);
        let own_cpu_ns = self.cpu.own_ns()? - from.own_cpu_ns;
        // A request that was due and could not even be sent has waited for at least as long.
        for due in self.overdue.iter_mut().flat_map(|queue| queue.drain(..)) {
            self.quick.record(now.saturating_sub(due), 1);
        }
        self.report = Some(Report {
            seconds: (now - from.at_ns) as f64 / 1e9,
            requests: self.answered,
            bytes: self.answered * request_bytes,
            own_cpu_ns,
            server_cpu_ns,
            quick: self.quick.distribution(),
            slow: (self.args.slow_connections > 0).then(|| self.slow.distribution()),
        });
        self.phase = Phase::Draining;
        self.phase_ends_ns = now + DRAIN_NS;
        Ok(())
    }

    /// How long to wait for events: until the phase ends, a pause ends, or a request is due. A poller counts in whole
    /// milliseconds, so for those that are due a timer is armed.
    fn sleep(&self, now: u64) -> Result<Duration> {
        let mut until = self.phase_ends_ns.min(now + LOOK_NS);
        if let Some(&(due, _)) = self.paused.front() {
            until = until.min(due);
        }
        if let (Some(schedule), false) = (&self.schedule, self.phase == Phase::Draining) {
            let wait = schedule.next_ns().saturating_sub(now);
            if wait == 0 {
                return Ok(Duration::ZERO);
            }
            let wait = TimeSpec::from_duration(Duration::from_nanos(wait));
            self.timer.set(Expiration::OneShot(wait), TimerSetTimeFlags::empty()).context("arming the timer")?;
        }
        Ok(Duration::from_nanos(until.saturating_sub(now)))
    }

    /// Nothing may come that was not asked for.
    fn check_silence(&mut self, buffer: &mut [u8]) -> Result<()> {
        for (index, connection) in self.connections.iter_mut().enumerate() {
            connection.receive(buffer).with_context(|| format!("connection {}, with all answered", index + 1))?;
        }
        Ok(())
    }
}

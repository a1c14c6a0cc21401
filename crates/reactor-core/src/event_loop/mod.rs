//! Owns the one place that polls: turns readiness into input, wants into system calls, mail into replies, and time into
//! deadlines. What a connection does with any of it is the state machine's affair.

pub(crate) mod acceptor;
mod host;
mod lifecycle;
mod mail;
pub(crate) mod main_reactor;
mod memory;
mod settle;
mod table;
mod turn;

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use socket2::Socket;

use crate::call;
use crate::config::{EVENTS_PER_POLL, READ_BUFFER_BYTES, READ_HEADROOM_BYTES};
use crate::conn_id::ConnId;
use crate::event_loop::acceptor::Acceptor;
use crate::event_loop::memory::Waiting;
use crate::event_loop::table::Table;
use crate::handler::{Handler, Peer};
use crate::listener::Listener;
use crate::requests::Requests;
use crate::run::Run;
use crate::shared::{LoopShared, Shared};
use crate::timers::Timers;
use crate::workers::{Pool, Watch};

pub(crate) const WAKER: Token = Token(usize::MAX);
pub(crate) const LISTENER: Token = Token(usize::MAX - 1);

/// A reactor thread that owns connections.
#[derive(Debug)]
pub(crate) struct EventLoop<H: Handler> {
    index: usize,
    handler: Arc<H>,
    shared: Arc<Shared>,
    pool: Option<Arc<Pool<H::Data>>>,
    poll: Poll,
    /// In MULTI the main reactor has it.
    acceptor: Option<Acceptor>,
    /// Accepted in this turn, and not opened.
    accepted: Vec<(Socket, Peer)>,
    table: Table<H::Data>,
    timers: Timers,
    /// Slots that have more to do than their turn allowed, or were answered by mail.
    ready: VecDeque<usize>,
    /// The time when the loop woke up; and as it was found when it was looked at last.
    now_ms: u64,
    clock_ms: u64,
    /// When the loop woke up.
    turn_began: Instant,
    /// Connections that wait for memory.
    waiting: Waiting,
    /// Connections that the handler had no room for; some may have ended since.
    refused: Vec<ConnId>,
    draining: bool,
    /// Headroom for a partial frame, then room for one read.
    read_buffer: Box<[u8]>,
    /// What may be read, while memory is short; empty until then.
    peek_buffer: Vec<u8>,
    /// The output of the turn of one connection.
    output: Vec<u8>,
    batch: Requests,
    /// For the replies of connections that wait for their turn.
    spare_outputs: Vec<Vec<u8>>,
    spare_runs: Vec<Arc<Run<H::Data>>>,
    to_pool: Vec<Arc<Run<H::Data>>>,
    watch: Watch,
    watching: bool,
    /// How many requests had begun when the handler was told that a turn is over.
    told_requests: u64,
}

impl<H: Handler> EventLoop<H> {
    pub(crate) fn new(
        index: usize,
        handler: Arc<H>,
        shared: Arc<Shared>,
        pool: Option<Arc<Pool<H::Data>>>,
        poll: Poll,
        listener: Option<Listener>,
    ) -> io::Result<Self> {
        let acceptor = listener.map(|listener| Acceptor::new(listener, poll.registry(), LISTENER)).transpose()?;
        Ok(EventLoop {
            index,
            handler,
            shared,
            pool,
            poll,
            acceptor,
            accepted: Vec::new(),
            table: Table::new(index),
            timers: Timers::default(),
            ready: VecDeque::new(),
            now_ms: 0,
            clock_ms: 0,
            turn_began: Instant::now(),
            waiting: Waiting::default(),
            refused: Vec::new(),
            draining: false,
            read_buffer: vec![0; READ_HEADROOM_BYTES + READ_BUFFER_BYTES].into_boxed_slice(),
            peek_buffer: Vec::new(),
            output: Vec::with_capacity(READ_BUFFER_BYTES),
            batch: Requests::default(),
            spare_outputs: Vec::new(),
            spare_runs: Vec::new(),
            to_pool: Vec::new(),
            watch: Watch::new(),
            watching: false,
            told_requests: 0,
        })
    }

    fn reactor(&self) -> &LoopShared {
        &self.shared.loops[self.index]
    }

    /// Serves until a stop was asked for and the last connection has ended.
    pub(crate) fn run(&mut self) {
        let mut events = Events::with_capacity(EVENTS_PER_POLL);
        let mut mail = Vec::new();
        let mut mailed_bytes = Vec::new();
        self.now_ms = self.shared.stop.now_ms();
        loop {
            self.sleep(&mut events);
            for event in &events {
                match event.token() {
                    WAKER => {}
                    LISTENER => self.acceptor.iter_mut().for_each(Acceptor::wake),
                    Token(slot) => self.on_event(slot, event),
                }
            }
            self.accept();
            self.reactor().mailbox.take(&mut mail, &mut mailed_bytes);
            self.on_mail(&mut mail, &mut mailed_bytes);
            self.open_accepted();
            for _ in 0..self.ready.len() {
                if let Some(slot) = self.ready.pop_front() {
                    self.table.get(slot).into_iter().for_each(|entry| entry.queued = false);
                    self.turn(slot);
                }
            }
            // Behind the turns: what was allowed to go on has gone on, and is not taken for idle.
            self.on_time();
            self.share_memory();
            // Before workers are given more: behind that, a flood passed what memory_limit allows now and then.
            self.trim_heap();
            self.tell_turn_over();
            self.obey_stop();
            self.feed_workers();
            self.table.recycle();
            let busy_us = self.turn_began.elapsed().as_micros() as u64;
            self.reactor().stats.loop_busy_us_max.raise(busy_us);
            if self.draining && self.table.len() == 0 {
                self.reactor().close_mailbox();
                if let Some(pool) = &self.pool {
                    // Workers of other loops may have waited until this one took its mail.
                    pool.go_on(&mut self.watch);
                }
                return;
            }
        }
    }

    /// Polls until something happens or is due.
    fn sleep(&mut self, events: &mut Events) {
        // A stop, or a sooner one, that comes from here on is not slept over.
        let obeyed_ms = self.shared.stop.deadline_ms().filter(|_| self.draining);
        let timeout = self.timeout();
        let reactor = &self.shared.loops[self.index];
        let stop_asked = || self.shared.stop.deadline_ms() != obeyed_ms;
        let may_sleep = reactor.mailbox.sleep(|| stop_asked() || self.wants_memory_shared());
        poll_for(&mut self.poll, events, if may_sleep { timeout } else { Some(Duration::ZERO) });
        reactor.mailbox.awake();
        self.turn_began = Instant::now();
        self.now_ms = self.shared.stop.at_ms(self.turn_began);
        self.clock_ms = self.now_ms;
    }

    fn timeout(&self) -> Option<Duration> {
        let accept_now = self.acceptor.as_ref().is_some_and(|acceptor| acceptor.is_ready(self.now_ms));
        if !self.ready.is_empty() || accept_now {
            return Some(Duration::ZERO);
        }
        let accept_ms = self.acceptor.as_ref().and_then(Acceptor::retry_ms);
        let stop_ms = self.shared.stop.deadline_ms().filter(|_| !self.reactor().is_cut());
        let watch_ms = self.watching.then_some(self.now_ms + 1);
        let first_ms = [self.timers.first_ms(), accept_ms, stop_ms, watch_ms].into_iter().flatten().min()?;
        Some(Duration::from_millis(first_ms.saturating_sub(self.now_ms)))
    }

    /// Tells the handler, where the turn had requests for it.
    fn tell_turn_over(&mut self) {
        let requests = self.reactor().stats.requests.get();
        if self.pool.is_none() && mem::replace(&mut self.told_requests, requests) != requests {
            call::turn_over(&*self.handler, self.index);
        }
    }

    /// Hands the turn's work to the workers, and sees to those that are stuck.
    fn feed_workers(&mut self) {
        if let Some(pool) = &self.pool {
            let budget = &self.shared.budget;
            if budget.has_waiting_workers() {
                if budget.may_workers_go_on() {
                    pool.go_on(&mut self.watch);
                }
                self.watching = true;
            }
            let submits = !self.to_pool.is_empty();
            pool.submit(&mut self.to_pool, &mut self.watch);
            if submits || self.watching {
                self.watching = pool.watch(&mut self.watch, self.now_ms);
            }
        }
    }
}

/// Polls once. An error is as good as no event: what is due will be found by the next.
pub(crate) fn poll_for(poll: &mut Poll, events: &mut Events, timeout: Option<Duration>) {
    if let Err(error) = poll.poll(events, timeout)
        && error.kind() != io::ErrorKind::Interrupted
    {
        log::error!("polling: {error}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

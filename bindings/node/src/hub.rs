//! Owns what a server's reactor threads and its JavaScript threads share: the lanes, and which of them a connection or a
//! request goes to. Knows nothing of JavaScript values.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock, Weak};

use reactor_core::{CloseReason, ConnId, Failed, Handle, Handler, Peer, Reply};

use crate::lane::{Lane, Room};
use crate::packing::Kind;

/// The hubs of this process, so that worker threads find theirs by number.
static HUBS: LazyLock<Mutex<HashMap<u32, Weak<Hub>>>> = LazyLock::new(Mutex::default);
static NEXT: AtomicU32 = AtomicU32::new(1);

/// See the head of this file.
pub(crate) struct Hub {
    pub(crate) id: u32,
    /// Those that run the handler.
    pub(crate) lanes: Vec<Lane>,
    /// The thread that called start: with a module it hears of closed connections here, and of nothing else.
    pub(crate) events: Option<Lane>,
    pub(crate) wants_close_events: AtomicBool,
    /// Each connection has one lane for life.
    homes: bool,
    /// From start to the end of the server: it holds descriptors.
    handle: RwLock<Option<Handle>>,
}

impl Hub {
    pub(crate) fn new(lanes: u32, homes: bool, events: bool) -> Arc<Hub> {
        let hub = Arc::new(Hub {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            lanes: std::iter::repeat_with(Lane::default).take(lanes as usize).collect(),
            events: events.then(Lane::default),
            wants_close_events: AtomicBool::new(false),
            homes,
            handle: RwLock::new(None),
        });
        let mut hubs = HUBS.lock().unwrap_or_else(PoisonError::into_inner);
        hubs.retain(|_, hub| hub.strong_count() > 0);
        hubs.insert(hub.id, Arc::downgrade(&hub));
        hub
    }

    /// The hub of this number, while its server lives.
    pub(crate) fn find(id: u32) -> Option<Arc<Hub>> {
        HUBS.lock().unwrap_or_else(PoisonError::into_inner).get(&id).and_then(Weak::upgrade)
    }

    /// The server, while it runs.
    pub(crate) fn handle(&self) -> Option<Handle> {
        self.handle.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_handle(&self, handle: Option<Handle>) {
        *self.handle.write().unwrap_or_else(PoisonError::into_inner) = handle;
    }

    /// The lane of this index; one past those of the handler is that for events.
    pub(crate) fn lane(&self, index: u32) -> Option<&Lane> {
        self.lanes.get(index as usize).or(self.events.as_ref().filter(|_| index as usize == self.lanes.len()))
    }

    /// The lane with the least of what `load` counts.
    fn least<L: Ord>(&self, load: impl Fn(&Lane) -> L) -> usize {
        (0..self.lanes.len()).min_by_key(|index| load(&self.lanes[*index])).unwrap_or(0)
    }

    /// The lane for the next request of a connection.
    fn lane_for(&self, home: &Home) -> &Lane {
        let index = if self.homes || !home.opened.load(Ordering::Relaxed) {
            home.lane
        } else {
            self.least(|lane| (lane.is_full(), lane.in_flight.load(Ordering::Relaxed)))
        };
        &self.lanes[index]
    }

    /// The JavaScript thread of this attachment has gone.
    pub(crate) fn detach(&self, index: u32, attachment: u64) {
        if let Some(lane) = self.lane(index) {
            self.resume(lane.detach(attachment));
        }
    }

    /// Lets the reactors offer again what a full lane has refused.
    pub(crate) fn resume(&self, room: Room) {
        match room {
            Room::AsBefore => {}
            Room::Again => self.handle().iter().for_each(Handle::resume),
        }
    }
}

/// Where a connection was opened.
pub(crate) struct Home {
    lane: usize,
    /// The lane's JavaScript has answered a request of it, and so has seen it opened: others may have requests too.
    pub(crate) opened: AtomicBool,
}

/// What the engine calls.
pub(crate) struct Requests(pub(crate) Arc<Hub>);

impl Handler for Requests {
    type Data = Arc<Home>;

    fn started(&self, server: &Handle) {
        self.0.set_handle(Some(server.clone()));
    }

    fn open(&self, conn: ConnId, peer: Peer) -> Option<Arc<Home>> {
        // First who has room for news: a lane whose thread is gone or stuck has the fewest connections in the end.
        let home = self.0.least(|lane| (lane.is_full_of_news(), lane.connections.load(Ordering::Relaxed)));
        let lane = &self.0.lanes[home];
        let events = self.0.events.as_ref().filter(|_| self.0.wants_close_events.load(Ordering::Relaxed));
        if lane.is_full_of_news() || events.is_some_and(Lane::is_full_of_news) {
            log::debug!("a connection from {peer} is dropped: JavaScript does not keep up with who comes and goes");
            return None;
        }
        lane.connections.fetch_add(1, Ordering::Relaxed);
        lane.tell(Kind::Open, 0, conn.as_u64(), peer.to_string().as_bytes());
        Some(Arc::new(Home { lane: home, opened: AtomicBool::new(false) }))
    }

    fn has_room(&self, home: &Arc<Home>) -> bool {
        !self.0.lane_for(home).is_full()
    }

    fn process(&self, request: &[u8], reply: &mut Reply<'_, Arc<Home>>) -> Result<(), Failed> {
        let home = Arc::clone(reply.data());
        let conn = reply.conn().as_u64();
        let deferred = reply.defer().map_err(|_| Failed)?;
        self.0.lane_for(&Arc::clone(&home)).request(conn, request, deferred, home);
        Ok(())
    }

    fn turn_over(&self, _reactor: usize) {
        self.0.lanes.iter().for_each(Lane::turn_over);
    }

    fn close(&self, conn: ConnId, reason: CloseReason, _os_error: i32, home: Arc<Home>) {
        let lane = &self.0.lanes[home.lane];
        lane.connections.fetch_sub(1, Ordering::Relaxed);
        lane.tell(Kind::Close, reason as u32, conn.as_u64(), &[]);
        if let Some(events) = &self.0.events
            && self.0.wants_close_events.load(Ordering::Relaxed)
        {
            events.tell(Kind::Close, reason as u32, conn.as_u64(), &[]);
        }
    }
}

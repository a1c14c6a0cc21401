//! The native half of the npm package `reactor`: the engine's threads own the sockets, and JavaScript runs the compute step
//! alone. One hand-over carries many requests: see `lane`. lib/ is the other half; nothing here is public API.

mod cleanup;
mod config;
mod heap;
mod hub;
mod lane;
mod packing;
mod settings;
mod waiting;

use std::iter;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use napi::bindgen_prelude::{BufferSlice, Env, FnArgs, Function};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use reactor_core::{ConnId, Error, ErrorKind, Handle, Mode, Server};

use crate::cleanup::Cleanup;
use crate::hub::{Hub, Requests};
use crate::packing::{Act, PackedReply};
use crate::settings::{NativeOptions, NativeReport, NativeStats};

/// An error whose code is the engine's name for it and, behind a colon, errno (0 for none).
type Refused = napi::Error<String>;

fn refused(error: &Error) -> Refused {
    napi::Error::new(format!("{}:{}", error.kind().name(), error.os_error().unwrap_or(0)), error.to_string())
}

fn gone(what: &str) -> Refused {
    refused(&Error::new(ErrorKind::Gone, format!("{what}: the server has stopped, or has not started")))
}

fn conn(low: u32, high: u32) -> ConnId {
    ConnId::from_u64(u64::from(high) << 32 | u64::from(low))
}

/// What a server's threads share, seen from one JavaScript thread.
#[napi(js_name = "Hub")]
pub struct JsHub {
    hub: Arc<Hub>,
    /// Stops the server where the thread ends that started it.
    cleanup: Option<Cleanup>,
}

#[napi]
impl JsHub {
    /// A hub with so many lanes for a handler. `homes`: each connection has one lane for life. `events`: a further lane
    /// hears of closed connections.
    #[napi(constructor)]
    pub fn new(lanes: u32, homes: bool, events: bool) -> Self {
        JsHub { hub: Hub::new(lanes, homes, events), cleanup: None }
    }

    /// The hub that another thread made.
    #[napi(factory)]
    pub fn open(id: u32) -> Result<Self, Refused> {
        Hub::find(id).map(|hub| JsHub { hub, cleanup: None }).ok_or_else(|| gone("opening a hub"))
    }

    /// The number by which other threads open it.
    #[napi(getter)]
    pub fn id(&self) -> u32 {
        self.hub.id
    }

    /// This thread serves the lane of this index; `bell` is called when something waits in it.
    #[napi]
    pub fn attach(&self, env: &Env, index: u32, bell: Function<'_, (), ()>) -> Result<JsLane, napi::Error> {
        let builder = bell.build_threadsafe_function::<()>().callee_handled::<false>().weak::<true>();
        let bell = builder.max_queue_size::<1>().build_callback(|_| Ok(()))?;
        let Some(lane) = self.hub.lane(index) else {
            return Err(napi::Error::from_reason(format!("attaching: there is no lane {index}")));
        };
        let attachment = lane.attach(bell);
        // Added after the bell, so that it runs before the bell is gone: what comes last is run first.
        let hub = Arc::downgrade(&self.hub);
        let cleanup = Cleanup::at_end(env, move || {
            if let Some(hub) = hub.upgrade() {
                hub.detach(index, attachment);
            }
        })?;
        Ok(JsLane { hub: Arc::clone(&self.hub), index, attachment, cleanup: Some(cleanup) })
    }

    /// Starts the server. `ended` is called once, with the report, when it has stopped.
    #[napi]
    pub fn start(
        &mut self,
        env: &Env,
        address: String,
        mode: u32,
        options: NativeOptions,
        ended: Function<'_, FnArgs<(NativeReport,)>, ()>,
    ) -> Result<(), Refused> {
        let failed = |error: napi::Error| napi::Error::new("IO:0".to_owned(), error.reason.clone());
        let builder = ended.build_threadsafe_function::<NativeReport>().callee_handled::<false>().weak::<true>();
        let ended = builder
            .max_queue_size::<1>()
            .build_callback(|context| Ok(FnArgs::from((context.value,))))
            .map_err(failed)?;
        let mode = match Mode::from_number(mode).map_err(|error| refused(&error))? {
            // The workers are JavaScript's: a native one would only pass the requests on.
            Mode::Pooled => Mode::Single,
            mode @ (Mode::Single | Mode::Multi) => mode,
        };
        let options = options.to_options().map_err(|error| refused(&error))?;
        let requests = Requests(Arc::clone(&self.hub));
        let server = Server::start(&address, mode, &options, requests).map_err(|error| refused(&error))?;
        let hub = Arc::downgrade(&self.hub);
        let cleanup = Cleanup::at_end(env, move || {
            if let Some(handle) = hub.upgrade().and_then(|hub| hub.handle()) {
                handle.request_stop(0);
            }
        });
        self.cleanup = Some(cleanup.map_err(failed)?);
        let hub = Arc::clone(&self.hub);
        // The server's owner waits on a thread of its own: dropping it blocks, and no JavaScript thread may.
        let waiting = waiting::spawn(move || {
            let stopped = server.wait();
            hub.set_handle(None);
            drop((server, hub));
            if let Ok(stopped) = stopped {
                let _ = ended.call(stopped.report.into(), ThreadsafeFunctionCallMode::NonBlocking);
            }
        });
        waiting.map_err(|error| refused(&Error::os("starting the thread reactor-wait", error)))
    }

    /// The server has ended: nothing is left of it for the end of the thread that started it.
    #[napi]
    pub fn ended(&mut self) {
        if let Some(cleanup) = self.cleanup.take() {
            cleanup.call_off();
        }
    }

    /// The most requests that ever waited in the lane of this index at once, and how many may. For the tests.
    #[napi]
    pub fn most_waiting(&self, index: u32) -> Option<[u32; 2]> {
        let most = self.hub.lane(index)?.most_requests();
        Some([most as u32, config::LANE_REQUESTS as u32])
    }

    fn handle(&self, what: &str) -> Result<Handle, Refused> {
        self.hub.handle().ok_or_else(|| gone(what))
    }

    /// Where it listens.
    #[napi]
    pub fn address(&self) -> Result<String, Refused> {
        self.handle("asking for the address").map(|handle| handle.local_address().to_owned())
    }

    /// Asks for a stop.
    #[napi]
    pub fn request_stop(&self, drain_timeout_ms: u32) {
        if let Some(handle) = self.hub.handle() {
            handle.request_stop(drain_timeout_ms);
        }
    }

    /// Sends to a connection; false where it has ended or is full.
    #[napi]
    pub fn send(&self, low: u32, high: u32, data: &[u8]) -> bool {
        self.hub.handle().is_some_and(|handle| handle.send(conn(low, high), data).is_ok())
    }

    /// Sends to all; the number of connections that were open, 0 where memory is short.
    #[napi]
    pub fn broadcast(&self, data: &[u8]) -> f64 {
        self.hub.handle().and_then(|handle| handle.broadcast(data).ok()).unwrap_or(0) as f64
    }

    /// Closes a connection; false where it has ended.
    #[napi]
    pub fn close(&self, low: u32, high: u32) -> bool {
        self.hub.handle().is_some_and(|handle| handle.close(conn(low, high)).is_ok())
    }

    /// Who is at the other end; nothing where the connection has ended.
    #[napi]
    pub fn peer(&self, low: u32, high: u32) -> Option<String> {
        self.hub.handle()?.peer(conn(low, high)).map(|peer| peer.to_string())
    }

    /// The counters, of one reactor or all.
    #[napi]
    pub fn stats(&self, reactor: Option<u32>) -> Result<NativeStats, Refused> {
        let stats = self.handle("asking for stats")?.stats(reactor.map(|reactor| reactor as usize));
        stats.map(NativeStats::from).map_err(|error| refused(&error))
    }

    /// Whether the thread that called start wants to hear of closed connections.
    #[napi]
    pub fn want_close_events(&self, on: bool) {
        self.hub.wants_close_events.store(on, Ordering::Relaxed);
    }
}

/// What is to run at the end of JavaScript threads, in the whole process: nothing, once all servers have ended. For the
/// tests.
#[napi]
pub fn cleanups_left() -> u32 {
    cleanup::left()
}

/// A lane, in the thread that serves it.
#[napi(js_name = "Lane")]
pub struct JsLane {
    hub: Arc<Hub>,
    index: u32,
    attachment: u64,
    /// Detaches the lane where its thread ends.
    cleanup: Option<Cleanup>,
}

#[napi]
impl JsLane {
    /// Hands over the replies in the first `used` bytes of `replies`, and takes the next entries into `into`: their bytes,
    /// or, negative, how many the first of them needs.
    #[napi]
    pub fn exchange(&self, replies: &[u8], used: u32, mut into: BufferSlice<'_>) -> f64 {
        let Some(lane) = self.hub.lane(self.index) else { return 0.0 };
        let (taken, room) = lane.exchange(replies.get(..used as usize).unwrap_or_default(), &mut into);
        self.hub.resume(room);
        match taken {
            Ok(taken) => taken as f64,
            Err(needed) => -(needed as f64),
        }
    }

    /// Hands over the replies in the first `used` bytes of `replies`, and takes nothing.
    #[napi]
    pub fn give(&self, replies: &[u8], used: u32) {
        if let Some(lane) = self.hub.lane(self.index) {
            lane.give(packing::replies(replies.get(..used as usize).unwrap_or_default()));
        }
    }

    /// One reply that is too large for the buffer.
    #[napi]
    pub fn reply(&self, key: u32, act: u32, bytes: &[u8]) {
        if let (Some(lane), Some(act)) = (self.hub.lane(self.index), Act::from_number(act)) {
            lane.give(iter::once(PackedReply { key, act, bytes }));
        }
    }

    /// Nobody serves it any more: what is in flight fails.
    #[napi]
    pub fn detach(&mut self) {
        if let Some(cleanup) = self.cleanup.take() {
            cleanup.call_off();
        }
        self.hub.detach(self.index, self.attachment);
    }
}

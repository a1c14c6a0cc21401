//! Owns the handler that the core calls: it sets the current reactor, calls the C callback, maps what it answered.
//! Knows nothing of how callbacks are called safely, nor of sockets.

use std::ffi::CStr;
use std::io::Write;
use std::sync::Arc;

use reactor_core::{CloseReason, ConnId, Failed, FrameEnd, Handle, Handler, Peer, Reply};

use crate::callbacks::{UserDataFree, reactor_close_fn, reactor_frame_fn, reactor_open_fn, reactor_process_fn};
use crate::close_reason::reactor_close_reason;
use crate::current;
use crate::ffi::callback;
use crate::ffi::pointer::Foreign;
use crate::reactor::reactor;
use crate::reply::reactor_reply;

/// "[", 39 digits and colons, "%", a scope of 10 digits, "]:", a port of 5, NUL: rounded up.
const PEER_BYTES: usize = 64;

/// What the user brings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Callbacks {
    pub(crate) process: reactor_process_fn,
    pub(crate) on_open: reactor_open_fn,
    pub(crate) on_close: reactor_close_fn,
    pub(crate) frame: reactor_frame_fn,
    pub(crate) user_data: Foreign,
    pub(crate) user_data_free: UserDataFree,
}

/// The callbacks of one reactor. Dropping it ends them: `user_data_free` follows.
pub(crate) struct Adaptor {
    callbacks: Callbacks,
    /// Shared with the caller's handle: it stays alive while a callback that outlives `reactor_free` may use it.
    reactor: Arc<reactor>,
}

impl Adaptor {
    pub(crate) fn new(callbacks: Callbacks, reactor: Arc<reactor>) -> Self {
        Adaptor { callbacks, reactor }
    }
}

impl Handler for Adaptor {
    type Data = Foreign;

    fn started(&self, server: &Handle) {
        self.reactor.started(server.clone());
    }

    fn open(&self, conn: ConnId, peer: Peer) -> Option<Foreign> {
        let Callbacks { on_open, user_data, .. } = self.callbacks;
        if on_open.is_none() {
            return Some(Foreign::NULL);
        }
        let mut text = [0; PEER_BYTES];
        let peer = peer_text(peer, &mut text);
        current::within(&self.reactor, || callback::open(on_open, user_data, conn.as_u64(), peer))
    }

    fn process(&self, request: &[u8], reply: &mut Reply<'_, Foreign>) -> Result<(), Failed> {
        let Callbacks { process, user_data, .. } = self.callbacks;
        let mut reply = reactor_reply::new(reply);
        match current::within(&self.reactor, || callback::process(process, user_data, request, &mut reply)) {
            0 => Ok(()),
            _ => Err(Failed),
        }
    }

    fn close(&self, conn: ConnId, reason: CloseReason, os_error: i32, conn_data: Foreign) {
        let Callbacks { on_close, user_data, .. } = self.callbacks;
        let reason = reactor_close_reason::from(reason) as u32;
        current::within(&self.reactor, || {
            callback::close(on_close, user_data, conn.as_u64(), reason, os_error, conn_data);
        });
    }

    fn frame(&self, conn_data: &Foreign, bytes: &[u8], seen: usize) -> FrameEnd {
        let Callbacks { frame, user_data, .. } = self.callbacks;
        let end = current::within(&self.reactor, || callback::frame(frame, user_data, *conn_data, bytes, seen));
        match usize::try_from(end) {
            Ok(0) => FrameEnd::Unknown,
            Ok(end) => FrameEnd::At(end),
            Err(_negative) => FrameEnd::Refused,
        }
    }
}

impl Drop for Adaptor {
    fn drop(&mut self) {
        // Where start failed no callback is called, this one included: the user's data is still the caller's.
        if !self.reactor.has_started() {
            return;
        }
        let Callbacks { user_data, user_data_free, .. } = self.callbacks;
        current::within(&self.reactor, || callback::free(user_data_free, user_data));
    }
}

fn peer_text(peer: Peer, text: &mut [u8; PEER_BYTES]) -> &CStr {
    let (_terminator, mut rest) = text.split_last_mut().expect("it is not empty");
    let _ = write!(rest, "{peer}");
    CStr::from_bytes_until_nul(text).expect("its last byte is left at 0")
}

//! Owns what any thread may do to a connection by its id: send, close, abort, ask who it is. Knows nothing of who waits
//! for what.

use std::ffi::{c_char, c_void};

use reactor_core::{ConnId, Error, ErrorKind};

use crate::boundary;
use crate::callbacks::reactor_conn;
use crate::ffi::{pointer, slice};
use crate::reactor::reactor;
use crate::status::reactor_status;

/// Queues bytes that no request asked for. Where the framing strips they are framed as one message. They never leave
/// inside a reply; sent in a process callback to the connection that asked, they leave before that callback's reply.
/// From on_open they are the greeting.
///
/// Parameters:
/// - `reactor`: not NULL.
/// - `conn`: any number: an id of a connection that has ended, and one that never was, is safe. An id of another
///   reactor may name a connection of this one.
/// - `data`: the bytes; NULL only where `len` is 0.
/// - `len`: how many; with 0 nothing is sent, but for an empty message where the framing strips.
///
/// Returns:
/// - REACTOR_STATUS_OK: queued; not yet sent, and dropped where the connection ends before. One that was sent its last
///   reply and our FIN counts as open until its peer has closed too, or for 2 s: nothing more leaves by it.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `reactor` is NULL; `data` is NULL and `len` is not 0; no object is `len` bytes
///   long.
/// - REACTOR_STATUS_GONE: the connection or the reactor has ended.
/// - REACTOR_STATUS_OVER_LIMIT: the connection's unsent output would pass output_limit_bytes, the connections together
///   stand at memory_limit_bytes, or the length prefix cannot count so many; nothing was queued.
///
/// Ownership: the bytes are copied.
///
/// Threads: any, callbacks included.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_send(
    reactor: *mut reactor,
    conn: reactor_conn,
    data: *const c_void,
    len: usize,
) -> reactor_status {
    boundary::status(|| {
        let server = pointer::ref_or(reactor, "reactor")?.handle()?;
        server.send(ConnId::from_u64(conn), slice::bytes(data, len, "data")?)
    })
}

/// As reactor_send, to every open connection; one whose output is full is skipped. One copy of the bytes serves all.
/// From on_open it is also the greeting of the new connection, which does not count as open yet.
///
/// Parameters:
/// - `reactor`: not NULL.
/// - `data`: the bytes; NULL only where `len` is 0.
/// - `len`: how many.
/// - `reached`: where the number of connections that were open when it was queued is written, those that are skipped
///   included; may be NULL.
///
/// Returns:
/// - REACTOR_STATUS_OK: queued; not yet sent, and not yet known who is skipped.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `reactor` is NULL; `data` is NULL and `len` is not 0; no object is `len` bytes
///   long.
/// - REACTOR_STATUS_GONE: the reactor has ended.
/// - REACTOR_STATUS_OVER_LIMIT: the bytes alone pass output_limit_bytes, the connections together stand at
///   memory_limit_bytes, or the length prefix cannot count so many; nothing was queued.
///
/// Ownership: the bytes are copied.
///
/// Threads: any, callbacks included.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_broadcast(
    reactor: *mut reactor,
    data: *const c_void,
    len: usize,
    reached: *mut u64,
) -> reactor_status {
    boundary::status(|| {
        let server = pointer::ref_or(reactor, "reactor")?.handle()?;
        let reached = pointer::output(reached, "reached")?;
        let count = server.broadcast(slice::bytes(data, len, "data")?)?;
        if let Some(reached) = reached {
            reached.write(count);
        }
        Ok(())
    })
}

/// Ends a connection in good order: it is read no more, what was admitted is answered, all is flushed, then it is
/// closed with REACTOR_CLOSE_LOCAL. Returns at once.
///
/// Parameters:
/// - `reactor`: not NULL.
/// - `conn`: any number, as in reactor_send.
///
/// Returns:
/// - REACTOR_STATUS_OK: it will be closed, or is being closed.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `reactor` is NULL.
/// - REACTOR_STATUS_GONE: the connection or the reactor has ended.
///
/// Ownership: nothing changes hands.
///
/// Threads: any, callbacks included.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_close(reactor: *mut reactor, conn: reactor_conn) -> reactor_status {
    boundary::status(|| pointer::ref_or(reactor, "reactor")?.handle()?.close(ConnId::from_u64(conn)))
}

/// Cuts a connection now, unsent bytes and all; on_close comes with REACTOR_CLOSE_LOCAL once no process callback for it
/// runs any more. Returns at once.
///
/// Parameters:
/// - `reactor`: not NULL.
/// - `conn`: any number, as in reactor_send.
///
/// Returns:
/// - REACTOR_STATUS_OK: it will be cut.
/// - REACTOR_STATUS_INVALID_ARGUMENT: `reactor` is NULL.
/// - REACTOR_STATUS_GONE: the connection or the reactor has ended.
///
/// Ownership: nothing changes hands.
///
/// Threads: any, callbacks included.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_abort(reactor: *mut reactor, conn: reactor_conn) -> reactor_status {
    boundary::status(|| pointer::ref_or(reactor, "reactor")?.handle()?.abort(ConnId::from_u64(conn)))
}

/// Who is at the other end of a connection: "HOST:PORT".
///
/// Parameters:
/// - `reactor`: not NULL.
/// - `conn`: any number, as in reactor_send.
/// - `buffer`: where the address is written, NUL-terminated and cut to `capacity`; NULL only where `capacity` is 0.
/// - `capacity`: bytes of `buffer`; with 0 nothing is written.
///
/// Returns: the length of the whole address without the NUL, as snprintf does: it was cut where that is not less than
/// `capacity`. 0, and an empty string, for a unix socket, whose peer has no address. 0 on failure, and
/// reactor_last_status() then says:
/// - REACTOR_STATUS_INVALID_ARGUMENT: `reactor` is NULL; `buffer` is NULL and `capacity` is not 0.
/// - REACTOR_STATUS_GONE: the connection or the reactor has ended.
///
/// Ownership: nothing changes hands.
///
/// Threads: any, callbacks included.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn reactor_peer_address(
    reactor: *mut reactor,
    conn: reactor_conn,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    boundary::value(0, || {
        let conn = ConnId::from_u64(conn);
        let peer = pointer::ref_or(reactor, "reactor")?.handle()?.peer(conn).ok_or_else(|| {
            Error::new(ErrorKind::Gone, format!("asking for the peer of connection {conn}: it has ended"))
        })?;
        let address = peer.to_string();
        slice::copy_text(&address, buffer, capacity)?;
        Ok(address.len())
    })
}

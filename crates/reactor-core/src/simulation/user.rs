//! Owns the handler of a simulated server: it tells the model what it sees, and does with each request whatever a user
//! may do: answer, be silent, fail, panic, defer, push, close. Knows nothing of the loop.

use std::mem;

use crate::conn_id::ConnId;
use crate::error::ErrorKind;
use crate::framing_properties::custom_end;
use crate::handler::{CloseReason, Failed, FrameEnd, Handler, Peer, Reply};
use crate::listener::address_of;
use crate::ordering::Ending;
use crate::server::Handle;
use crate::simulation::clock;
use crate::simulation::dice::{pick, rarely};
use crate::simulation::model::{Late, OPENING, message};
use crate::simulation::story::tell;
use crate::simulation::world::{self, Promise};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct User;

impl Handler for User {
    type Data = usize;

    fn started(&self, server: &Handle) {
        world::with(|world| world.handle = Some(server.clone()));
    }

    fn open(&self, conn: ConnId, peer: Peer) -> Option<usize> {
        let number = usize::from(peer.address()?.port()) - usize::from(address_of(0).port());
        if rarely(30) {
            tell(|| format!("the handler does not want client {number}"));
            return None;
        }
        world::with(|world| {
            let client = &mut world.clients[number];
            client.id = conn;
            client.opened_ms = Some(clock::now_ms());
            client.busy_ms = clock::now_ms();
        });
        tell(|| format!("client {number} is open, as {conn}"));
        if rarely(8) {
            world::with(|world| world.inside = Some((number, OPENING)));
            send(number);
            world::with(|world| world.inside = None);
        }
        Some(number)
    }

    fn has_room(&self, data: &usize) -> bool {
        let room = !rarely(20);
        if !room {
            tell(|| format!("the handler has no room for client {data}"));
            world::with(|world| world.clients[*data].no_room = true);
        }
        room
    }

    fn process(&self, request: &[u8], reply: &mut Reply<'_, usize>) -> Result<(), Failed> {
        let client = *reply.data();
        let number = world::with(|world| {
            let number = world.worker_number.take().unwrap_or_else(|| world.begin(client, None, request));
            world.inside = Some((client, number));
            number
        });
        let done = act(client, number, reply);
        world::with(|world| world.inside = None);
        done
    }

    fn close(&self, conn: ConnId, reason: CloseReason, _os_error: i32, client: usize) {
        world::with(|world| world.end(client, conn, reason));
    }

    fn frame(&self, _data: &usize, bytes: &[u8], _seen: usize) -> FrameEnd {
        custom_end(bytes)
    }
}

fn handle() -> Handle {
    world::with(|world| world.handle.clone()).expect("the server has started")
}

/// A message that a reply or a push may have: of a usual size, or none at all.
fn reply_message(client: usize, number: u64) -> Vec<u8> {
    let len = match pick(24) {
        0..=20 => pick(12),
        21 => 100 + pick(100),
        22 => 500 + pick(700),
        _ => 16 * 1024 + pick(700),
    };
    message(b'R', client, number as usize, len)
}

/// What the handler does with a request; first of all, answer it.
fn act(client: usize, number: u64, reply: &mut Reply<'_, usize>) -> Result<(), Failed> {
    let tame = world::with(|world| world.setup.tame);
    let conn = reply.conn();
    match if tame { 0 } else { pick(200) } {
        0..=119 => {}
        120..=129 => {
            world::with(|world| world.answer(client, number, None, Ending::Continue, Late::No));
            return Ok(());
        }
        130..=165 => return defer(client, number, reply),
        166..=175 => send(client),
        176..=179 => send(pick(world::with(|world| world.clients.len()))),
        180..=182 => broadcast(),
        183..=185 => {
            reply.close().map_err(|_| Failed)?;
            return write(client, number, reply, Ending::Close);
        }
        186 => return fail(client, number),
        187 => {
            let _ = fail(client, number);
            world::with(|world| world.inside = None);
            // Not by panic!, whose hook would print it.
            std::panic::resume_unwind(Box::new("a callback that panics"));
        }
        188 => {
            defer(client, number, reply)?;
            keep_last();
            return fail(client, number);
        }
        189..=191 => {
            defer(client, number, reply)?;
            keep_last();
            return Ok(());
        }
        192 => close(client),
        193 => {
            let abort = handle().abort(conn);
            tell(|| format!("the callback aborts its client {client}: {abort:?}"));
            world::with(|world| world.clients[client].abort_asked |= abort.is_ok());
        }
        _ => {}
    }
    write(client, number, reply, Ending::Continue)
}

fn write(client: usize, number: u64, reply: &mut Reply<'_, usize>, ending: Ending) -> Result<(), Failed> {
    let message = reply_message(client, number);
    let written = if rarely(4) {
        let spare = pick(9);
        reply.reserve(message.len() + spare).is_ok_and(|room| {
            room[..message.len()].copy_from_slice(&message);
            true
        }) && reply.commit(message.len()).is_ok()
    } else {
        reply.write(&message).is_ok()
    };
    if !written {
        return fail(client, number);
    }
    world::with(|world| world.answer(client, number, Some(&message), ending, Late::No));
    Ok(())
}

fn fail(client: usize, number: u64) -> Result<(), Failed> {
    world::with(|world| {
        // What a promise has answered in its place may have left.
        let request = &mut world.clients[client].requests[number as usize];
        request.kept = request.reply.as_ref().map(|(_, ending)| *ending);
        let (kept, ending) = request.reply.clone().unwrap_or((Vec::new(), Ending::Continue));
        let ending = if ending == Ending::Continue { Ending::Failed } else { ending };
        tell(|| format!("the callback of request {number} of client {client} fails"));
        world.clients[client].answer(number, kept, ending, Late::No);
    });
    Err(Failed)
}

fn defer(client: usize, number: u64, reply: &mut Reply<'_, usize>) -> Result<(), Failed> {
    let message = reply_message(client, number);
    let begun = message[..if rarely(4) { pick(message.len()) } else { 0 }].to_vec();
    let closes = rarely(30);
    if closes {
        reply.close().map_err(|_| Failed)?;
    }
    if !begun.is_empty() && reply.write(&begun).is_err() {
        return fail(client, number);
    }
    let deferred = reply.defer().map_err(|_| Failed)?;
    tell(|| format!("request {number} of client {client} is deferred"));
    let promise = Promise { deferred, client, number, begun, message, closes };
    world::with(|world| world.promises.push(promise));
    Ok(())
}

fn keep_last() {
    let last = world::with(|world| world.promises.len() - 1);
    keep(last);
}

/// Somebody keeps a promise, one way or another.
pub(crate) fn keep(index: usize) {
    let Some(promise) = world::with(|world| {
        let count = world.promises.len();
        (count > 0).then(|| world.promises.remove(index % count))
    }) else {
        return;
    };
    let Promise { deferred, client, number, begun, message, closes } = promise;
    let rest = &message[begun.len()..];
    let usual = if closes { Ending::Close } else { Ending::Continue };
    let (kept, sent, ending) = match pick(40) {
        30 => (deferred.complete_and_close(rest), true, Ending::Close),
        31..=33 if begun.is_empty() => (deferred.skip(), false, usual),
        34 if begun.is_empty() => (deferred.skip_and_close(), false, Ending::Close),
        35 => (deferred.fail(), false, Ending::Failed),
        36 => {
            drop(deferred);
            (Ok(()), false, Ending::Failed)
        }
        _ => (deferred.complete(rest), true, usual),
    };
    let kind = kept.as_ref().err().map(crate::error::Error::kind);
    tell(|| format!("the promise of request {number} of client {client} is kept: {kind:?}"));
    world::with(|world| {
        let payload = sent.then_some(message.as_slice());
        let late = if world.polling { Late::BeforeMail } else { Late::AfterMail };
        match kind {
            None => world.answer(client, number, payload, ending, late),
            Some(ErrorKind::OverLimit) => world.answer(client, number, None, Ending::TooLarge, late),
            Some(ErrorKind::Gone) => {
                let closed = crate::simulation::net::with(|net| net.wires[client].closed);
                if !closed {
                    world.failed(Err(format!("a promise to client {client} finds nobody, and its socket is open")));
                }
                world.clients[client].answer(number, Vec::new(), Ending::Continue, Late::No);
            }
            Some(other) => world.failed(Err(format!("a promise to client {client} is refused: {other:?}"))),
        }
    });
}

/// Pushes to a client, which may not be there any more.
pub(crate) fn send(client: usize) {
    let (conn, number, payload) = world::with(|world| {
        let len = if rarely(4) { 500 + pick(300) } else { pick(12) };
        let payload = message(b'P', 0, world.pushes.len(), len);
        let number = world.push(Some(client), &payload);
        (world.clients[client].id, number, payload)
    });
    let sent = handle().send(conn, &payload);
    tell(|| format!("push {number} to client {client}: {}", told(&sent)));
    world::with(|world| {
        world.pushed(number, sent.is_ok());
        let closed = world.clients[client].closed.is_some() || conn == ConnId::NONE;
        if closed && sent.is_ok() {
            world.failed(Err(format!("push {number} is taken for client {client}, which has ended")));
        }
    });
}

fn told<T>(result: &Result<T, crate::error::Error>) -> String {
    result.as_ref().map_or_else(|error| error.kind().name().to_owned(), |_| "taken".to_owned())
}

pub(crate) fn broadcast() {
    let (number, payload) = world::with(|world| {
        let payload = message(b'P', 0, world.pushes.len(), pick(20));
        (world.push(None, &payload), payload)
    });
    let sent = handle().broadcast(&payload);
    tell(|| format!("push {number} to all: {}", told(&sent)));
    world::with(|world| world.pushed(number, sent.is_ok()));
}

pub(crate) fn close(client: usize) {
    let conn = world::with(|world| world.clients[client].id);
    let asked = handle().close(conn);
    tell(|| format!("client {client} is to be closed: {}", told(&asked)));
    world::with(|world| world.clients[client].close_asked |= asked.is_ok());
}

pub(crate) fn abort(client: usize) {
    let conn = world::with(|world| world.clients[client].id);
    let asked = handle().abort(conn);
    tell(|| format!("client {client} is to be aborted: {}", told(&asked)));
    world::with(|world| world.clients[client].abort_asked |= asked.is_ok());
}

/// There is room again.
pub(crate) fn resume() {
    let refused = world::with(|world| {
        let refused = world.clients.iter().any(|client| client.no_room);
        world.clients.iter_mut().for_each(|client| client.no_room = false);
        mem::take(&mut { refused })
    });
    if refused {
        tell(|| "the handler has room again".to_owned());
        handle().resume();
    }
}

//! Owns the promise that what stays with a connection goes with it. Knows the public API alone.

#[expect(dead_code, unused_imports, reason = "each suite uses its part")]
mod harness;

use std::sync::Arc;

use harness::{Client, Wiring, in_each_mode, lines, until};
use reactor_core::{ConnId, Failed, Handler, Peer, Reply, Server};

in_each_mode!(nothing_of_a_connection_is_kept_once_it_has_ended);

/// Gives each connection a share of it.
struct Sharing(Arc<()>);

impl Handler for Sharing {
    type Data = Arc<()>;

    fn open(&self, _conn: ConnId, _peer: Peer) -> Option<Arc<()>> {
        Some(Arc::clone(&self.0))
    }

    fn process(&self, request: &[u8], reply: &mut Reply<'_, Arc<()>>) -> Result<(), Failed> {
        reply.write(request).map_err(|_| Failed)
    }
}

/// Where a loop keeps a run for the next connection, it kept a clone of the last one's data with it.
fn nothing_of_a_connection_is_kept_once_it_has_ended(wiring: Wiring) {
    let data = Arc::new(());
    let server = Server::start("127.0.0.1:0", wiring.mode(), &wiring.framed(lines(false)), Sharing(Arc::clone(&data)));
    let server = server.expect("the server starts");
    for _ in 0..5 {
        let clients: Vec<Client> = (0..10).map(|_| Client::connect(&server)).collect();
        clients.iter().for_each(|client| assert!(client.is_echoed(b"ask\n")));
    }
    // Ours and the handler's.
    until("all of it is given back", || Arc::strong_count(&data) == 2);
}

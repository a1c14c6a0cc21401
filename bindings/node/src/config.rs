//! Owns the limits of a lane, each with its unit. Knows nothing of lanes.

/// Requests that wait in a lane until JavaScript takes them: never more. What JavaScript has taken and not answered
/// `maxInFlight` limits, for each connection.
pub(crate) const LANE_REQUESTS: usize = 8192;
/// With so many waiting the bell is rung before the reactor's turn is over.
pub(crate) const RING_REQUESTS: usize = 256;
/// So many reactors, at the most, may have asked for room before one of them took the last (reactor-core's limit on
/// threads of one kind).
const REACTORS: usize = 1024;
/// Waiting requests at which a lane is full: the reading of each connection pauses that has one more for it.
pub(crate) const FULL_REQUESTS: usize = LANE_REQUESTS - REACTORS;
/// Waiting requests at which it no longer is.
pub(crate) const EASED_REQUESTS: usize = FULL_REQUESTS / 2;
/// Bytes of waiting requests and news at which a lane is full, too. The request that reaches it is taken whole.
pub(crate) const FULL_BYTES: usize = 4 * 1024 * 1024;
/// As above, at which it no longer is.
pub(crate) const EASED_BYTES: usize = FULL_BYTES / 2;
/// News of connections, opened or closed, that wait in a lane: at so many no new connection is taken, as beyond
/// `maxConnections`. A thread that is blocked while clients come and go would let them grow without end.
pub(crate) const LANE_NEWS: usize = 65_536;

//! Owns every unsafe line of the crate, behind a few named functions. Knows nothing of what the objects do.
//!
//! The functions are safe to write down but stand at the edge: what C passes cannot be checked beyond NULL and
//! alignment, so each relies on a line of the header's preface, and its SAFETY comment names that line. Only exports
//! (with what C gave them) and the adaptor (with what it lends to C) call them.

pub(crate) mod callback;
pub(crate) mod handle;
pub(crate) mod heap;
pub(crate) mod pointer;
pub(crate) mod sized;
pub(crate) mod slice;

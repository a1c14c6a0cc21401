//! Properties of framing, being written.

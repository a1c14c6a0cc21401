//! Owns `reactor_order` as C sees it. It never comes in as an enum (any number may come from C): the core checks it.

/// Which requests of one connection may run at once, and in which order their replies leave.
#[expect(non_camel_case_types, reason = "types and enumerators bear their C names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum reactor_order {
    /// One call at a time for each connection; replies in request order. Raw bytes that arrive before a request has
    /// begun join it, up to max_frame_bytes.
    REACTOR_ORDER_SERIAL = 0,
    /// A connection's requests run at once; replies still in request order.
    REACTOR_ORDER_PARALLEL = 1,
    /// A connection's requests run at once, each reply is sent as soon as it is ready; start refuses it with raw
    /// framing.
    REACTOR_ORDER_UNORDERED = 2,
}

#[cfg(test)]
mod tests {
    use super::*;
    use reactor_core::Order;

    #[test]
    fn orders_have_the_numbers_of_the_core() {
        for (order, core) in [
            (reactor_order::REACTOR_ORDER_SERIAL, Order::Serial),
            (reactor_order::REACTOR_ORDER_PARALLEL, Order::Parallel),
            (reactor_order::REACTOR_ORDER_UNORDERED, Order::Unordered),
        ] {
            assert_eq!(Order::from_number(order as u32).expect("the core has it"), core);
        }
    }
}

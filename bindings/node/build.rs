//! Lets the library leave node's symbols open.

fn main() {
    napi_build::setup();
}

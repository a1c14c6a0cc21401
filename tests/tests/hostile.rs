//! Arguments that no caller should pass are answered by an error that says what is wrong, never by a crash.

use reactor_tests::{Mode, Server, failing_example, in_each_mode, run_program};

in_each_mode!(every_function_refuses_hostile_arguments);

fn every_function_refuses_hostile_arguments(mode: Mode) {
    let lines = run_program("hostile", mode.args());
    let checked = lines.iter().find_map(|line| line.strip_prefix("checked ")?.parse::<u32>().ok());
    assert!(checked.is_some_and(|count| count > 500), "{lines:#?}");
}

#[test]
fn an_example_at_a_taken_address_says_which_and_why() {
    let server = Server::example("echo", &[]);
    let address = server.address().to_string();
    let error = failing_example("echo", &["--addr", &address]);
    assert!(error.contains(&address), "{error}");
    assert!(error.to_lowercase().contains("address already in use"), "{error}");
}

#[test]
fn an_example_at_no_address_says_so() {
    let error = failing_example("http_mock", &["--addr", "nowhere"]);
    assert!(error.contains("nowhere"), "{error}");
}

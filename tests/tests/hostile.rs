//! Arguments that no caller should pass are answered by an error that says what is wrong, never by a crash.

use reactor_tests::{Mode, Server, failing_example_in, in_each_mode, in_each_mode_of_node, run_program};

in_each_mode!(
    every_function_refuses_hostile_arguments,
    an_example_at_a_taken_address_says_which_and_why,
    an_example_at_no_address_says_so,
);

fn every_function_refuses_hostile_arguments(mode: Mode) {
    let lines = run_program("hostile", mode.args());
    let checked = lines.iter().find_map(|line| line.strip_prefix("checked ")?.parse::<u32>().ok());
    assert!(checked.is_some_and(|count| count > 500), "{lines:#?}");
}

in_each_mode_of_node!(an_example_at_a_taken_address_says_which_and_why, an_example_at_no_address_says_so);

fn an_example_at_a_taken_address_says_which_and_why(mode: Mode) {
    let server = Server::example_in(mode, "echo", &[]);
    let address = server.address().to_string();
    let error = failing_example_in(mode, "echo", &["--addr", &address]);
    assert!(error.contains(&address), "{error}");
    assert!(error.to_lowercase().contains("address already in use"), "{error}");
}

fn an_example_at_no_address_says_so(mode: Mode) {
    let error = failing_example_in(mode, "echo", &["--addr", "nowhere"]);
    assert!(error.contains("nowhere"), "{error}");
}

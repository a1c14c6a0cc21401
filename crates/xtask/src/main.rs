//! The command line of `cargo xtask`: which automations there are. Knows nothing of how any of them works.

mod build;
mod cluster;
mod demo;
mod header;
mod lint;
mod node_package;
mod process;
mod prototypes;
mod serve;
mod steps;
mod table;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::Parser;
use workspace::Workspace;

/// Every automation of libreactor.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Build the release library, the C examples and, where there is Node.js, its package
    Build,
    /// Run the cluster client against the C and the Node echo server, and show the figures in a table
    Demo(demo::Args),
    /// Build, then run one C example in the foreground
    Serve(serve::Args),
    /// Write include/reactor.h and include/reactor.symbols anew
    Header,
    /// Run the static checks
    Lint,
    /// Build everything, then run every suite
    Test(test::Args),
    /// Write the tarball of the Node package to target/package
    Pack,
}

fn main() -> ExitCode {
    let task = Task::parse();
    let workspace = Workspace::find();
    let done = match task {
        Task::Build => build::everything(&workspace),
        Task::Demo(args) => demo::run(&workspace, &args),
        Task::Serve(args) => serve::run(&workspace, &args),
        Task::Header => header::write(&workspace.root),
        Task::Lint => lint::run(&workspace),
        Task::Test(args) => test::run(&workspace, &args),
        Task::Pack => node_package::pack(&workspace),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The causes in one line and no backtrace: it is the tools that failed, not this program.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

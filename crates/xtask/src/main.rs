//! The command line of `cargo xtask`: which automations there are. Knows nothing of how any of them works.

mod bench;
mod build;
mod cluster;
mod demo;
mod descriptors;
mod faults;
mod fuzz;
mod header;
mod install;
mod lint;
mod loom;
mod mutants;
mod node_package;
mod process;
mod prototypes;
mod reliability;
mod sanitize;
mod serve;
mod sim;
mod soak;
mod steps;
mod stress;
mod suites;
mod table;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
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
    /// Build the release library, and put it with its header and reactor.pc where programs look for it
    Install(install::Args),
    /// Write include/reactor.h and include/reactor.symbols anew
    Header,
    /// Run the static checks
    Lint,
    /// Build everything, then run every suite
    Test(test::Args),
    /// Write the tarball of the Node package to target/package
    Pack,
    /// Measure the servers beside their peers, or check what a request costs
    Bench(bench::Args),
    /// Let calls of the system fail and do less than they could, under the real library
    Faults(faults::Args),
    /// One load row of RELIABILITY.md at its full size
    Stress(stress::Args),
    /// Put back each known fault in a copy of the tree, and see its test go red
    Mutants(mutants::Args),
    /// Mixed load over all modes for long: samples, a plot and a verdict
    Soak(soak::Args),
    /// The engine's loop over a simulated network and clock, seed by seed
    Sim(sim::Args),
    /// Models of the queues between threads, in every interleaving
    Loom(loom::Args),
    /// Fuzz one part of the engine
    Fuzz(fuzz::Args),
    /// The C suite under AddressSanitizer, ThreadSanitizer or valgrind
    Sanitize(sanitize::Args),
}

fn main() -> ExitCode {
    let task = Task::parse();
    let workspace = Workspace::find();
    let done = descriptors::raise_limit().and_then(|()| run(task, &workspace));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The causes in one line and no backtrace: it is the tools that failed, not this program.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task, workspace: &Workspace) -> Result<()> {
    match task {
        Task::Build => build::everything(workspace),
        Task::Demo(args) => demo::run(workspace, &args),
        Task::Serve(args) => serve::run(workspace, &args),
        Task::Install(args) => install::run(workspace, &args),
        Task::Header => header::write(&workspace.root),
        Task::Lint => lint::run(workspace),
        Task::Test(args) => test::run(workspace, &args),
        Task::Pack => node_package::pack(workspace),
        Task::Bench(args) => bench::run(workspace, &args),
        Task::Faults(args) => faults::run(workspace, &args),
        Task::Stress(args) => stress::run(workspace, &args),
        Task::Mutants(args) => mutants::run(workspace, &args),
        Task::Soak(args) => soak::run(workspace, &args),
        Task::Sim(args) => sim::run(workspace, &args),
        Task::Loom(args) => loom::run(workspace, &args),
        Task::Fuzz(args) => fuzz::run(workspace, &args),
        Task::Sanitize(args) => sanitize::run(workspace, &args),
    }
}

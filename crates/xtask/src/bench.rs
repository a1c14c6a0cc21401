//! `cargo xtask bench`: measures us beside the peers, in one run, and writes down what came of it. Owns the command
//! line and the order of things; each step is a module.

mod growth;
mod guards;
mod machine;
mod measure;
mod outcome;
mod plot;
mod prepare;
mod programs;
mod ratio;
mod results;
mod rows;
mod runner;
mod sample;
mod scene;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use growth::Drawn;
use measure::Setting;
use outcome::Outcome;
use programs::Programs;
use results::Asked;

use crate::cluster;
use crate::table::table;
use crate::workspace::Workspace;

const GROWTH: &str = "growth";
const SECONDS: f64 = 1.5;
const ROUNDS: usize = 5;
/// What is known of targets that are missed; written by hand.
const LIMITS: &str = "benchmarks/limits.md";

/// What to measure, and how long.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// P1 to P13, and `growth` for the curves; all of them, if none is named
    rows: Vec<String>,
    /// Length of a sample
    #[arg(long, default_value_t = SECONDS)]
    seconds: f64,
    /// Samples of each server, at least; an unsteady machine gets up to three more
    #[arg(long, default_value_t = ROUNDS)]
    rounds: usize,
    /// Measure what has been built before
    #[arg(long)]
    no_build: bool,
    /// Compare instructions and system calls of a request with the record, and measure no time
    #[arg(long, conflicts_with_all = ["rows", "record"])]
    check: bool,
    /// Write that record anew
    #[arg(long, conflicts_with = "rows")]
    record: bool,
    /// The cluster client of row P5
    #[command(flatten)]
    cluster: cluster::Load,
}

/// Measures the rows, shows the targets in a table, and writes the results: those of a whole run at full length to
/// benchmarks/, others beside what was built.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    prepare::check_machine()?;
    if !(args.seconds > 0.0 && args.seconds < 3_600.0) || args.rounds == 0 {
        bail!("--seconds must be above 0 and below 3600, --rounds above 0");
    }
    let is_guard = args.check || args.record;
    let programs = Programs::prepare(workspace, !args.no_build, !is_guard)?;
    if args.check {
        return guards::check(workspace, &programs);
    }
    if args.record {
        return guards::record(workspace, &programs);
    }

    let begun = Instant::now();
    let sample = Duration::from_secs_f64(args.seconds);
    let setting = Setting { workspace, programs: &programs, sample, cluster: &args.cluster };
    let (names, with_growth) = chosen(&args.rows)?;
    let scenes = scenes(&programs, &names)?;
    let guess: Duration = scenes.iter().map(|scene| runner::estimate(scene, args.rounds, sample)).sum();
    println!("the rows take about {:.0} minutes", guess.as_secs_f64() / 60.0);

    let outcomes: Vec<_> = scenes.into_iter().map(|scene| runner::run(&setting, scene, args.rounds)).collect();
    let growth = if with_growth { grow(&setting, args) } else { Vec::new() };
    show(&outcomes);
    let is_whole = args.rows.is_empty() && args.seconds >= SECONDS && args.rounds >= ROUNDS;
    let folder = if is_whole { workspace.root.join("benchmarks") } else { programs.folder().to_path_buf() };
    let asked = Asked {
        command: command(args),
        seconds: args.seconds,
        rounds: args.rounds,
        minutes: begun.elapsed().as_secs_f64() / 60.0,
    };
    let path = write(workspace, &folder, &asked, &outcomes, growth)?;
    println!("written to {}", path.display());
    Ok(())
}

/// The rows that were asked for, in their usual order, and whether growth was.
fn chosen(asked: &[String]) -> Result<(Vec<&'static str>, bool)> {
    let is = |row: &str| asked.is_empty() || asked.iter().any(|name| name.eq_ignore_ascii_case(row));
    let known = |name: &String| rows::ROWS.iter().any(|(row, _)| name.eq_ignore_ascii_case(row));
    if let Some(name) = asked.iter().find(|name| !known(name) && !name.eq_ignore_ascii_case(GROWTH)) {
        bail!("there is no row `{name}`; there are P1 to P13 and growth");
    }
    let names = rows::ROWS.iter().map(|(row, _)| *row).filter(|row| is(row));
    Ok((names.collect(), is(GROWTH)))
}

fn scenes(programs: &Programs, names: &[&str]) -> Result<Vec<scene::Scene>> {
    let mut scenes = Vec::new();
    for name in names {
        // Without Node.js nothing computes, and the row says so.
        let mut iterations = || if programs.has_node() { programs.iterations_per_us() } else { Ok(1.0) };
        scenes.extend(rows::scenes(name, &mut iterations)?);
    }
    Ok(scenes)
}

/// Curves want many points rather than long samples.
fn grow(setting: &Setting<'_>, args: &Args) -> Vec<Drawn> {
    let setting = Setting { sample: setting.sample.div_f64(2.0), ..*setting };
    let curves = growth::curves().into_iter();
    curves.map(|curve| curve.measured(|scene| runner::run(&setting, scene, args.rounds))).collect()
}

fn show(outcomes: &[Outcome]) {
    let lines = results::lines(outcomes);
    if lines.is_empty() {
        return;
    }
    let mut rows = vec![results::HEAD.map(String::from).to_vec()];
    rows.extend(lines);
    let (met, all) = results::score(outcomes);
    println!("\n{}\n\n{met} of {all} targets met by more than the noise", table(&rows));
}

fn write(
    workspace: &Workspace,
    folder: &Path,
    asked: &Asked,
    outcomes: &[Outcome],
    growth: Vec<Drawn>,
) -> Result<PathBuf> {
    let growth = growth.into_iter().map(|curve| {
        let file = plot::draw(&curve, folder)?;
        Ok((curve, file))
    });
    let growth = growth.collect::<Result<Vec<_>>>()?;
    // There need be none.
    let limits = fs::read_to_string(workspace.root.join(LIMITS)).unwrap_or_default();
    let text = results::markdown(&machine::facts(workspace), asked, outcomes, &growth, &limits);
    let path = folder.join("RESULTS.md");
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

/// The line that gives the same again.
fn command(args: &Args) -> String {
    let mut line = String::from("cargo xtask bench");
    for row in &args.rows {
        line += " ";
        line += row;
    }
    if args.seconds != SECONDS {
        line += &format!(" --seconds {}", args.seconds);
    }
    if args.rounds != ROUNDS {
        line += &format!(" --rounds {}", args.rounds);
    }
    line
}

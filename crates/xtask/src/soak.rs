//! `cargo xtask soak --minutes N`: mixed load over all modes, its samples as a plot, and a verdict (R25). Knows nothing of the
//! load itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use plotters::coord::Shift;
use plotters::prelude::{
    BLACK, BLUE, ChartBuilder, DrawingArea, GREEN, IntoDrawingArea, LineSeries, MAGENTA, PathElement, RED, RGBColor,
    SVGBackend, SeriesLabelPosition, WHITE,
};

use crate::build;
use crate::process;
use crate::suites;
use crate::table::table;
use crate::workspace::Workspace;

const MIB: f64 = 1024.0 * 1024.0;
/// What the promise allows an hour; a shorter soak is allowed as much, for it sees the noise of the allocator alone.
const MIB_PER_HOUR: f64 = 1.0;
const COLOURS: [RGBColor; 4] = [BLUE, RED, GREEN, MAGENTA];

/// How long.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long the load lasts
    #[arg(long, default_value_t = 60)]
    minutes: u64,
}

/// One look at one server.
#[derive(Clone, Copy)]
struct Sample {
    seconds: f64,
    resident_bytes: f64,
    descriptors: f64,
    p99_us: f64,
}

type Samples = BTreeMap<String, Vec<Sample>>;

/// Builds, loads, draws, judges.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    build::c(workspace)?;
    let folder = workspace.soak_dir();
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let (csv, svg) = (folder.join("soak.csv"), folder.join("soak.svg"));
    let mut load = suites::end_to_end(workspace, &["peer_soak"]);
    load.env("REACTOR_SOAK_SECONDS", (args.minutes * 60).to_string()).env("REACTOR_SOAK_CSV", &csv);
    load.args(["--", "--ignored", "--exact", "soak", "--nocapture"]);
    let loaded = process::run(&mut load);
    let text = fs::read_to_string(&csv).with_context(|| format!("reading {}", csv.display()))?;
    let samples = parse(&text).with_context(|| format!("the samples of {}", csv.display()))?;
    draw(&samples, &svg).with_context(|| format!("drawing {}", svg.display()))?;
    println!("the plot is {}", svg.display());
    // Only now: the samples tell what came before an error.
    loaded?;
    judge(&samples, args.minutes)
}

fn parse(text: &str) -> Result<Samples> {
    let mut samples = Samples::new();
    for line in text.lines().skip(1) {
        let cells: Vec<_> = line.split(',').collect();
        let [seconds, mode, resident, descriptors, p99, _answers] = cells[..] else { bail!("no sample: `{line}`") };
        let number = |cell: &str| cell.parse::<f64>().with_context(|| format!("`{cell}` in `{line}`"));
        let sample = Sample {
            seconds: number(seconds)?,
            resident_bytes: number(resident)?,
            descriptors: number(descriptors)?,
            p99_us: number(p99)?,
        };
        samples.entry(mode.to_owned()).or_default().push(sample);
    }
    Ok(samples)
}

/// The middle value; 0 of none.
fn median(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<_> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Memory may grow by a MiB an hour, from the second fifth, when all that is allocated once is there, to the last.
fn judge(samples: &Samples, minutes: u64) -> Result<()> {
    let allowed = MIB_PER_HOUR * (minutes as f64 / 60.0).max(1.0);
    let head = ["server", "memory before", "after", "grown by", "descriptors", "p99 median"];
    let mut rows = vec![head.map(String::from).to_vec()];
    let mut faults = Vec::new();
    for (mode, samples) in samples {
        let fifth = samples.len() / 5;
        let (early, late) = (&samples[fifth..fifth * 2], &samples[samples.len() - fifth..]);
        let memory = |sample: &Sample| sample.resident_bytes / MIB;
        let (before, after) = (median(early, memory), median(late, memory));
        let (few, many) = (median(early, |sample| sample.descriptors), median(late, |sample| sample.descriptors));
        rows.push(vec![
            mode.clone(),
            format!("{before:.2} MiB"),
            format!("{after:.2} MiB"),
            format!("{:+.2} MiB", after - before),
            format!("{few} to {many}"),
            format!("{} us", median(samples, |sample| sample.p99_us)),
        ]);
        if after - before > allowed {
            faults.push(format!("{mode} grew by {:.2} MiB", after - before));
        }
        if many > few + 8.0 {
            faults.push(format!("{mode} has {many} descriptors, and had {few}"));
        }
    }
    println!("\n{}\n", table(&rows));
    if !faults.is_empty() {
        bail!("{}", faults.join("; "));
    }
    println!("xtask soak: {minutes} min, no error, memory grew by at most {allowed} MiB");
    Ok(())
}

fn draw(samples: &Samples, path: &Path) -> Result<()> {
    let root = SVGBackend::new(path, (1000, 900)).into_drawing_area();
    root.fill(&WHITE).map_err(drawing)?;
    let panels = root.split_evenly((3, 1));
    panel(&panels[0], samples, "resident memory, MiB", |sample| sample.resident_bytes / MIB)?;
    panel(&panels[1], samples, "descriptors", |sample| sample.descriptors)?;
    panel(&panels[2], samples, "p99 of a probe, ms", |sample| sample.p99_us / 1_000.0)?;
    root.present().map_err(drawing)
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    samples: &Samples,
    title: &str,
    value: impl Fn(&Sample) -> f64,
) -> Result<()> {
    let all = || samples.values().flatten();
    let last = all().map(|sample| sample.seconds).fold(1.0, f64::max);
    let top = all().map(&value).fold(0.0, f64::max) * 1.1 + 0.1;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..last, 0.0..top)
        .map_err(drawing)?;
    chart.configure_mesh().x_desc("seconds").draw().map_err(drawing)?;
    for ((mode, samples), colour) in samples.iter().zip(COLOURS) {
        let line = LineSeries::new(samples.iter().map(|sample| (sample.seconds, value(sample))), &colour);
        let series = chart.draw_series(line).map_err(drawing)?;
        series.label(mode).legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 15, y)], colour));
    }
    let mut labels = chart.configure_series_labels();
    labels.position(SeriesLabelPosition::LowerRight).border_style(BLACK).background_style(WHITE);
    labels.draw().map_err(drawing)
}

/// The errors of plotters borrow what they speak of.
fn drawing(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("{error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soaked(grow_bytes: f64, descriptors: impl Fn(usize) -> f64) -> Samples {
        let sample = |index: usize| Sample {
            seconds: index as f64,
            resident_bytes: 10.0 * MIB + grow_bytes * index as f64,
            descriptors: descriptors(index),
            p99_us: 100.0,
        };
        Samples::from([("single".to_owned(), (0..100).map(sample).collect())])
    }

    #[test]
    fn memory_that_grows_and_descriptors_that_are_left_over_are_found() {
        assert!(judge(&soaked(0.0, |_| 20.0), 60).is_ok());
        let error = judge(&soaked(MIB / 50.0, |_| 20.0), 60).expect_err("it grows by 1.2 MiB").to_string();
        assert!(error.contains("single grew by"), "{error}");
        assert!(judge(&soaked(MIB / 50.0, |_| 20.0), 120).is_ok(), "two hours allow two MiB");
        let error = judge(&soaked(0.0, |index| index as f64), 60).expect_err("they grow").to_string();
        assert!(error.contains("descriptors"), "{error}");
    }

    #[test]
    fn samples_are_read_line_by_line() -> Result<()> {
        let samples = parse("seconds,mode,...\n1.5,single,1048576,20,130,7\n2.0,pooled,2,3,4,5\n")?;
        assert_eq!(samples.len(), 2);
        assert!((samples["single"][0].resident_bytes - MIB).abs() < 0.5);
        assert!(parse("head\n1,2\n").is_err());
        Ok(())
    }
}

//! The results as Markdown: the targets, what was found, all figures. Measures nothing.

use std::fmt::Write as _;

use crate::bench::growth::Drawn;
use crate::bench::outcome::{Finding, Outcome, Verdict};
use crate::bench::rows::ROWS;
use crate::bench::sample::Metric;
use crate::bench::scene::Bound;

/// How a run was asked for.
pub(crate) struct Asked {
    pub(crate) command: String,
    pub(crate) seconds: f64,
    pub(crate) rounds: usize,
    pub(crate) minutes: f64,
}

/// The head of the table of claims, for the terminal and the file alike.
pub(crate) const HEAD: [&str; 9] =
    ["row", "work", "figure", "ours", "peer", "ours / peer", "noise", "target", "verdict"];

/// A line for each claim.
pub(crate) fn lines(outcomes: &[Outcome]) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    for outcome in outcomes {
        for finding in outcome.findings() {
            lines.push(line(outcome, &finding));
        }
    }
    lines
}

fn line(outcome: &Outcome, finding: &Finding) -> Vec<String> {
    let claim = &finding.claim;
    let shown = |value: Option<f64>| value.map_or("-".into(), |value| claim.metric.shown(value));
    let mut verdict = String::from(finding.verdict.name());
    if finding.load_bound {
        verdict += ", load was the limit";
    }
    let (ratio, noise) = match finding.ratio {
        Some(ratio) => {
            let unsteady = if ratio.kept == 0 { "~" } else { "" };
            (format!("{unsteady}{:.3}", ratio.median), ratio.noise.map_or("-".into(), |noise| format!("{noise:.3}")))
        }
        None => ("-".into(), "-".into()),
    };
    let target = match (claim.bound, &claim.against) {
        (Bound::AtMost(limit), Some(peer)) => format!("<= {limit:.2} of {peer}"),
        (Bound::AtLeast(limit), Some(peer)) => format!(">= {limit:.2} of {peer}"),
        (Bound::AtMost(limit), None) => format!("<= {limit}"),
        (Bound::AtLeast(limit), None) => format!(">= {limit}"),
    };
    let work = format!("{}: {}", outcome.scene.title, claim.ours);
    let metric = claim.metric.name().into();
    vec![
        outcome.scene.row.into(),
        work,
        metric,
        shown(finding.ours),
        shown(finding.peer),
        ratio,
        noise,
        target,
        verdict,
    ]
}

/// The whole file. `limits` is what is known of targets that are missed, in sections named by row.
pub(crate) fn markdown(
    facts: &[(&str, String)],
    asked: &Asked,
    outcomes: &[Outcome],
    growth: &[(Drawn, String)],
    limits: &str,
) -> String {
    let mut text = String::from("# Results\n\n");
    let Asked { command, seconds, rounds, minutes } = asked;
    let _ = write!(
        text,
        "Written by `{command}`, which gives them again: {rounds} rounds of samples of {seconds} s, {minutes:.0} \
         minutes in all.\n\nEvery verdict is a ratio. Peer and ours run in turn (peer, ours, peer, ours, peer \
         ...), each sample of ours is compared with the mean of the peer's two beside it, pairs whose two differ \
         by more than 12 % are thrown away, and the median of the rest is shown (`~`: none was steady, all were \
         used). `noise` is the peer against itself in the same way: a target is met when it is cleared by more \
         than that. CPU is user and system time of all threads of the server, divided by the requests answered; \
         the columns `ours` and `peer` are medians over the run, for orientation.\n\n"
    );
    let facts: Vec<_> = facts.iter().map(|(name, value)| vec![(*name).into(), value.clone()]).collect();
    text += &table(&["machine", ""], &facts);
    text += "\n## Targets\n\n";
    text += &table(&HEAD, &lines(outcomes));
    let (met, all) = score(outcomes);
    let _ = writeln!(text, "\n{met} of {all} targets are met by more than the noise.");
    text += &gaps(outcomes);
    text += &what_limits(outcomes, limits);
    text += "\n## Growth\n";
    for (curve, file) in growth {
        let _ = write!(text, "\n![{}]({file})\n\n", curve.title);
        text += &growth_table(curve);
    }
    text += "\n## Figures\n";
    for (row, title) in ROWS {
        let of_row: Vec<_> = outcomes.iter().filter(|outcome| outcome.scene.row == row).collect();
        if !of_row.is_empty() {
            let _ = write!(text, "\n### {row}: {title}\n");
        }
        for outcome in of_row {
            let _ = write!(text, "\n{}:\n\n{}", outcome.scene.title, figures(outcome));
        }
    }
    text
}

/// How many claims are met, of how many.
pub(crate) fn score(outcomes: &[Outcome]) -> (usize, usize) {
    let findings: Vec<_> = outcomes.iter().flat_map(Outcome::findings).collect();
    (findings.iter().filter(|finding| finding.verdict == Verdict::Met).count(), findings.len())
}

fn gaps(outcomes: &[Outcome]) -> String {
    let mut gaps: Vec<_> = outcomes
        .iter()
        .flat_map(|outcome| {
            outcome.gaps.iter().map(move |(name, why)| format!("- {}, {name}: {why}\n", outcome.scene.row))
        })
        .collect();
    gaps.dedup();
    if gaps.is_empty() { String::new() } else { format!("\nNot measured:\n\n{}", gaps.concat()) }
}

/// What is known of the rows that have a claim which is not met.
fn what_limits(outcomes: &[Outcome], limits: &str) -> String {
    let mut text = String::new();
    for (row, _) in ROWS {
        let is_missed = outcomes
            .iter()
            .filter(|outcome| outcome.scene.row == row)
            .flat_map(Outcome::findings)
            .any(|finding| finding.verdict != Verdict::Met);
        if let (true, Some(section)) = (is_missed, section(limits, row)) {
            let _ = write!(text, "\n### {row}\n\n{section}\n");
        }
    }
    if text.is_empty() { text } else { format!("\n## What limits those that are not met\n{text}") }
}

/// The text under `## ROW`.
fn section<'a>(text: &'a str, row: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("\n## {row}\n"))?;
    Some(rest.split("\n## ").next().unwrap_or(rest).trim())
}

fn figures(outcome: &Outcome) -> String {
    let mut head = vec!["server"];
    head.extend(outcome.scene.shows.iter().map(|metric| metric.name()));
    let rows: Vec<_> = outcome
        .scene
        .contenders
        .iter()
        .map(|contender| {
            let figure = |metric: &Metric| outcome.figure(&contender.name, *metric);
            let figures =
                outcome.scene.shows.iter().map(|metric| figure(metric).map_or("-".into(), |value| metric.shown(value)));
            std::iter::once(contender.name.clone()).chain(figures).collect()
        })
        .collect();
    table(&head, &rows)
}

fn growth_table(curve: &Drawn) -> String {
    let servers = curve.servers();
    let head = format!("{}, {}", curve.over, curve.metric.name());
    let head: Vec<_> = std::iter::once(head.as_str()).chain(servers.iter().map(String::as_str)).collect();
    let rows = curve.points.iter().map(|(value, outcome)| {
        let figures = servers
            .iter()
            .map(|server| outcome.figure(server, curve.metric).map_or("-".into(), |value| curve.metric.shown(value)));
        std::iter::once(value.to_string()).chain(figures).collect()
    });
    table(&head, &rows.collect::<Vec<_>>())
}

fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_of_a_row_ends_at_the_next() {
        let text = "# Limits\n\n## P1\n\none\n\n## P10\n\nten\n";
        assert_eq!(section(text, "P1"), Some("one"));
        assert_eq!(section(text, "P10"), Some("ten"));
        assert_eq!(section(text, "P2"), None);
    }
}

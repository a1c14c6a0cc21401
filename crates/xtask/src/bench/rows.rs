//! The rows P1 to P13: which servers, which load, which targets. One function each; runs nothing.

use crate::bench::programs::{Program, Work};
use crate::bench::sample::Metric;
use crate::bench::scene::{Bound, Load, Scene};

const RAW: Program = Program::Raw { loops: 1 };
const IDLE: u32 = 10_000;
/// A GiB in messages of 64 KiB.
const GIB: &str = "--connections 1 --size 65536 --write-bytes 65536 --in-flight 64 --requests 16384";

/// Names and meanings, in order.
pub(crate) const ROWS: [(&str, &str); 13] = [
    ("P1", "SINGLE, echo in a C callback, 64 bytes, one request in flight, 128 connections"),
    ("P2", "SINGLE, mock HTTP by delimiter framing, wrk, 128 connections"),
    ("P3", "SINGLE, echo and mock HTTP, 16 requests in flight, 128 connections"),
    ("P4", "POOLED, echo, 2 and 12 workers, unpinned"),
    ("P5", "POOLED, the cluster client, compute of 100 ms, 12 workers"),
    ("P6", "POOLED, connections whose requests each take 100 ms beside 100 quick ones"),
    ("P7", "MULTI, 2 reactors, echo, 128 connections"),
    ("P8", "Idle connections: memory of the process"),
    ("P9", "10 000 connects, one by one"),
    ("P10", "1 GiB echoed through one connection in 64 KiB writes"),
    ("P11", "Node, function handler, echo, 128 connections"),
    ("P12", "Node, module handler, 2 workers, 64 connections"),
    ("P13", "Node, a handler that is busy for 200 ms now and then"),
];

/// The scenes of one row. `iterations_per_us` is asked for only where JavaScript computes.
pub(crate) fn scenes(
    row: &str,
    iterations_per_us: &mut dyn FnMut() -> anyhow::Result<f64>,
) -> anyhow::Result<Vec<Scene>> {
    Ok(match row {
        "P1" => vec![p1()],
        "P2" => vec![p2()],
        "P3" => p3(),
        "P4" => p4(),
        "P5" => vec![p5()],
        "P6" => vec![p6()],
        "P7" => p7(),
        "P8" => p8(),
        "P9" => vec![p9()],
        "P10" => vec![p10()],
        "P11" => vec![p11()],
        "P12" => p12(iterations_per_us()?),
        "P13" => p13(),
        _ => anyhow::bail!("there is no row `{row}`; there are P1 to P13 and growth"),
    })
}

fn p1() -> Scene {
    let load = Load::run("--connections 128 --size 64");
    Scene::new("P1", "echo, one in flight")
        .with(RAW, Work::Echo, &load, true)
        .with(Program::Uv, Work::Echo, &load, true)
        .with(Program::Single, Work::Echo, &load, true)
        .at_most(Metric::Cpu, 1.00, "raw")
        .at_most(Metric::Cpu, 0.95, "libuv")
}

fn p2() -> Scene {
    let load = Load::Wrk { connections: 128 };
    Scene::new("P2", "mock HTTP, wrk")
        .with(RAW, Work::Http, &load, true)
        .with(Program::Uv, Work::Http, &load, true)
        .with(Program::DemoSingle, Work::Http, &load, true)
        .with(Program::Single, Work::Http, &load, true)
        .at_most(Metric::Cpu, 1.00, "raw")
        .at_most(Metric::Cpu, 0.85, "single-threaded demo")
        .at_least(Metric::Rate, 0.97, "raw")
        .shows(&[Metric::Cpu, Metric::Rate, Metric::LoadBusy])
}

fn p3() -> Vec<Scene> {
    let scene = |title, work, arguments| {
        let load = Load::run(arguments);
        Scene::new("P3", title)
            .with(RAW, work, &load, true)
            .with(Program::Uv, work, &load, true)
            .with(Program::Single, work, &load, true)
            .at_least(Metric::Rate, 0.97, "raw")
            .at_least(Metric::Rate, 0.97, "libuv")
    };
    vec![
        scene("echo, 16 in flight", Work::Echo, "--connections 128 --in-flight 16 --size 64"),
        scene("mock HTTP, 16 in flight", Work::Http, "--connections 128 --in-flight 16 --mode http"),
    ]
}

fn p4() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for workers in [2, 12] {
        let pool = Program::UvPool { threads: workers };
        let demo = Program::DemoPooled { compute_ms: 0 };
        let ours = Program::Pooled { workers };
        for connections in [128, 8, 1] {
            let load = Load::run(&format!("--connections {connections} --size 64"));
            let s = if connections == 1 { "" } else { "s" };
            let scene = Scene::new("P4", format!("{workers} workers, {connections} connection{s}"))
                .with(RAW, Work::Echo, &load, false)
                .with(pool, Work::Echo, &load, false);
            scenes.push(match connections {
                128 => scene
                    .with(demo, Work::Echo, &load, false)
                    .with(ours, Work::Echo, &load, false)
                    .at_most(Metric::Cpu, 1.15, "raw")
                    .at_most(Metric::Cpu, 0.42, &pool.name())
                    .at_most(Metric::Cpu, 0.65, "pooled demo"),
                8 => scene.with(ours, Work::Echo, &load, false).at_most(Metric::Cpu, 1.7, "raw"),
                _ => scene.with(ours, Work::Echo, &load, false).at_most(Metric::Cpu, 2.4, "raw").at_most(
                    Metric::P50,
                    1.0,
                    &pool.name(),
                ),
            });
        }
    }
    scenes
}

fn p5() -> Scene {
    let load = Load::ClusterClient;
    Scene::new("P5", "1 000 connections from 10 processes, 2 messages each")
        .with(Program::DemoPooled { compute_ms: 100 }, Work::Echo, &load, false)
        .with(Program::PooledExample, Work::Echo, &load, false)
        .at_most(Metric::Seconds, 0.55, "pooled demo")
        .rounds(1)
        .shows(&[Metric::Seconds, Metric::Wrong])
}

fn p6() -> Scene {
    let ours = Program::Pooled { workers: 12 };
    let quick = "--connections 100 --size 64";
    let slow = |count| Load::run(&format!("{quick} --slow-connections {count} --slow-us 100000 --slow-kind sleep"));
    Scene::new("P6", "100 quick connections, 12 workers")
        .with(ours, Work::Marked, &Load::run(quick), false)
        .named("alone")
        .with(ours, Work::Marked, &slow(1), false)
        .named("beside 1 slow one")
        .at_least(Metric::Rate, 0.9, "alone")
        .at_most(Metric::P99, 1.6, "alone")
        .with(ours, Work::Marked, &slow(5), false)
        .named("beside 5 slow ones")
        .at_least(Metric::Rate, 0.9, "alone")
        .at_most(Metric::P99, 1.6, "alone")
}

fn p7() -> Vec<Scene> {
    let load = Load::run("--connections 128 --size 64");
    let multi = Program::Multi { reactors: 2 };
    let shows = &[Metric::Cpu, Metric::Rate, Metric::P50, Metric::P99, Metric::LoadBusy, Metric::Unevenness];
    let pinned = Scene::new("P7", "pinned")
        .with(Program::Single, Work::Echo, &load, true)
        .with(multi, Work::Echo, &load, true)
        .at_most(Metric::Cpu, 1.05, "SINGLE")
        .holds(Metric::Unevenness, Bound::AtMost(1.0))
        .shows(shows);
    let unpinned = Scene::new("P7", "unpinned")
        .with(Program::Raw { loops: 2 }, Work::Echo, &load, false)
        .with(multi, Work::Echo, &load, false)
        .at_most(Metric::Cpu, 1.05, "raw, 2 loops")
        .holds(Metric::Unevenness, Bound::AtMost(1.0))
        .shows(shows);
    vec![pinned, unpinned]
}

fn p8() -> Vec<Scene> {
    let limit = Bound::AtMost(224.0);
    let scene = |title, touched, targets: bool| {
        let load = Load::Hold { connections: IDLE, touched };
        let mut scene = Scene::new("P8", title);
        for peer in [RAW, Program::Uv, Program::NodeNet] {
            scene = scene.with(peer, Work::Echo, &load, true);
        }
        for ours in [Program::Single, Program::Pooled { workers: 2 }, Program::Multi { reactors: 2 }] {
            scene = scene.with(ours, Work::Echo, &load, true);
            if targets {
                scene = scene.holds(Metric::Memory, limit);
            }
        }
        scene.rounds(1).shows(&[Metric::Memory])
    };
    vec![
        scene("10 000 connections that never sent anything", false, true),
        scene("10 000 connections, quiet after an echo each", true, false),
    ]
}

fn p9() -> Scene {
    let load = Load::Connect { connections: IDLE };
    let mut scene = Scene::new("P9", "10 000 connects").with(RAW, Work::Echo, &load, true);
    scene = scene.with(Program::Uv, Work::Echo, &load, true);
    for ours in [Program::Single, Program::Pooled { workers: 2 }, Program::Multi { reactors: 2 }] {
        scene = scene.with(ours, Work::Echo, &load, true).at_most(Metric::Seconds, 1.2, "raw");
    }
    scene.shows(&[Metric::Seconds])
}

fn p10() -> Scene {
    let load = Load::Count(GIB.split_whitespace().map(String::from).collect());
    Scene::new("P10", "1 GiB there and back")
        .with(RAW, Work::Echo, &load, true)
        .with(Program::Uv, Work::Echo, &load, true)
        .with(Program::Single, Work::Echo, &load, true)
        .at_least(Metric::Bytes, 0.95, "raw")
        .shows(&[Metric::Bytes, Metric::Seconds, Metric::LoadBusy])
}

fn p11() -> Scene {
    let load = Load::run("--connections 128 --size 64");
    Scene::new("P11", "echo, function handler")
        .with(Program::NodeNet, Work::Echo, &load, false)
        // What there is to gain: it has no JavaScript at all.
        .with(RAW, Work::Echo, &load, false)
        .with(Program::Function, Work::Echo, &load, false)
        .at_least(Metric::Rate, 1.5, "node net")
        .at_most(Metric::Cpu, 0.65, "node net")
}

fn p12(iterations_per_us: f64) -> Vec<Scene> {
    let load = Load::run("--connections 64 --size 64");
    let scene = |us: u32, against_piscina, against_cluster| {
        // Never negative, and far below 2^63.
        let work = Work::Compute((f64::from(us) * iterations_per_us) as u64);
        Scene::new("P12", format!("{us} us of JavaScript a request"))
            .with(Program::NodeNet, work, &load, false)
            .with(Program::Piscina, work, &load, false)
            .with(Program::Cluster, work, &load, false)
            .with(Program::Module, work, &load, false)
            .at_least(Metric::Rate, against_piscina, "piscina")
            .at_least(Metric::Rate, against_cluster, "cluster")
    };
    vec![scene(20, 1.9, 1.15), scene(100, 1.2, 1.0)]
}

fn p13() -> Vec<Scene> {
    let quick = "--connections 64 --size 64";
    let busy = format!("{quick} --slow-connections 1 --slow-us 200000 --slow-kind spin --slow-pause-ms 800");
    let main_thread = Scene::new("P13", "function handler, busy for 200 ms at a time: what the reactor did meanwhile")
        .with(Program::Function, Work::Marked, &Load::BusyMainThread, false)
        .holds(Metric::AcceptedBusy, Bound::AtLeast(1.0))
        .holds(Metric::ReadBusy, Bound::AtLeast(1.0))
        .rounds(1)
        .shows(&[Metric::AcceptedBusy, Metric::ReadBusy]);
    let others = Scene::new("P13", "module handler, 2 workers, busy for 200 ms of each second: the other connections")
        .with(Program::Module, Work::Marked, &Load::run(quick), false)
        .named("alone")
        .with(Program::Module, Work::Marked, &Load::run(&busy), false)
        .named("beside a busy one")
        .at_most(Metric::P99, 3.0, "alone");
    // Each request counts from when it was due, so that a connection that shares the busy worker pays for all of it.
    let due = |load: &str| Load::run(&format!("{load} --rate 10000 --in-flight 64"));
    let at_a_rate = Scene::new("P13", "the same at 10 000 requests/s, each counted from when it was due (no target)")
        .with(Program::Module, Work::Marked, &due(quick), false)
        .named("alone")
        .with(Program::Module, Work::Marked, &due(&busy), false)
        .named("beside a busy one")
        .rounds(2);
    vec![main_thread, others, at_a_rate]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A claim that names nobody would be shown as unmeasured for ever.
    #[test]
    fn every_claim_names_contenders_of_its_scene_and_peers_come_first() {
        for (row, _) in ROWS {
            for scene in scenes(row, &mut || Ok(100.0)).expect("it is a row") {
                let at = |name: &str| scene.contenders.iter().position(|contender| contender.name == name);
                for claim in &scene.claims {
                    let ours = at(&claim.ours).expect("ours is there");
                    if let Some(peer) = &claim.against {
                        assert!(at(peer).is_some_and(|peer| peer < ours), "{row}, {}: {peer}", scene.title);
                    }
                }
                assert_eq!(scene.row, row);
            }
        }
    }
}

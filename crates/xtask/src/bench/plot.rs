//! Draws a curve of growth as SVG, the axis across logarithmic. The one place that names plotters.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::bench::growth::Drawn;
use crate::bench::sample::Metric;

/// Of the picture, and how much of it is the chart; the names of the lines stand to its right.
const SIZE: (u32, u32) = (850, 420);
const CHART_WIDTH: u32 = 650;
/// Values that are further apart than so many times are drawn logarithmically.
const FAR_APART: f64 = 30.0;
const COLOURS: [RGBColor; 4] =
    [RGBColor(110, 110, 110), RGBColor(214, 126, 28), RGBColor(23, 96, 176), RGBColor(24, 138, 86)];

/// Draws it to `folder`, and says under which name.
pub(crate) fn draw(curve: &Drawn, folder: &Path) -> Result<String> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let file = format!("growth-{}.svg", curve.name);
    let path = folder.join(&file);
    draw_to(curve, &path).map_err(|error| anyhow!("drawing {}: {error}", path.display()))?;
    Ok(file)
}

fn draw_to(curve: &Drawn, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let lines: Vec<_> = curve.servers().into_iter().map(|server| (curve.line(&server), server)).collect();
    let places: Vec<_> = curve.points.iter().map(|(value, _)| *value).collect();
    let (first, last) = (places.first().copied().unwrap_or(1), places.last().copied().unwrap_or(1));
    let values = || lines.iter().flat_map(|(line, _)| line.iter().map(|(_, value)| *value));
    let highest = values().fold(1e-3, f64::max);
    // From zero, so that a small difference looks small; over several powers of ten that shows nothing.
    let lowest = values().filter(|value| *value > 0.0).fold(highest, f64::min);

    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (left, right) = root.split_horizontally(CHART_WIDTH);
    name_lines(&right, &lines)?;
    let mut chart = ChartBuilder::on(&left);
    chart.caption(curve.title, ("sans-serif", 20)).margin(12).x_label_area_size(44).y_label_area_size(60);
    let across = (f64::from(first) * 0.9..f64::from(last) * 1.1)
        .log_scale()
        .with_key_points(places.iter().map(|&place| f64::from(place)).collect());
    if curve.metric == Metric::Cpu && highest / lowest > FAR_APART {
        let up = (lowest * 0.8..highest * 1.2).log_scale();
        decorate(&mut chart.build_cartesian_2d(across, up)?, curve, &lines)?;
    } else {
        decorate(&mut chart.build_cartesian_2d(across, 0.0..highest * 1.1)?, curve, &lines)?;
    }
    root.present()?;
    Ok(())
}

type Line = (Vec<(u32, f64)>, String);

fn decorate<'a, X, Y>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    curve: &Drawn,
    lines: &[Line],
) -> Result<(), Box<dyn std::error::Error>>
where
    X: Ranged<ValueType = f64> + plotters::coord::ranged1d::ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + plotters::coord::ranged1d::ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .x_desc(curve.over)
        .y_desc(curve.metric.name())
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&|value| if *value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") })
        .light_line_style(TRANSPARENT)
        .label_style(("sans-serif", 17))
        .axis_desc_style(("sans-serif", 18))
        .draw()?;
    for ((line, _), colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let points = || line.iter().map(|&(place, value)| (f64::from(place), value));
        chart.draw_series(LineSeries::new(points(), colour.stroke_width(2)))?;
        chart.draw_series(points().map(|point| Circle::new(point, 3, colour.filled())))?;
    }
    Ok(())
}

fn name_lines(area: &DrawingArea<SVGBackend<'_>, Shift>, lines: &[Line]) -> Result<(), Box<dyn std::error::Error>> {
    for (at, ((_, server), colour)) in (0..).zip(lines.iter().zip(COLOURS.iter().cycle())) {
        let y = 60 + at * 24;
        area.draw(&PathElement::new([(4, y), (26, y)], colour.stroke_width(2)))?;
        area.draw(&Text::new(server.clone(), (34, y - 6), ("sans-serif", 17)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::growth::curves;
    use crate::bench::outcome::Outcome;
    use crate::bench::sample::Sample;

    /// A server that failed at some place, as one may, is drawn without it.
    #[test]
    fn a_curve_has_a_line_for_each_server_and_its_names() -> Result<()> {
        let curve = curves().into_iter().next().context("there are curves")?;
        let mut cost = 8.0;
        let drawn = curve.measured(|scene| {
            let mut outcome = Outcome::new(scene);
            cost *= 0.7;
            for (at, samples) in outcome.samples.iter_mut().enumerate().skip(usize::from(cost < 1.5)) {
                samples.push(Sample::of(Metric::Cpu, cost + at as f64 / 10.0));
            }
            outcome
        });
        let folder = std::env::temp_dir().join(format!("reactor-plot-{}", std::process::id()));
        let file = folder.join(draw(&drawn, &folder)?);
        let svg = fs::read_to_string(&file)?;
        fs::remove_dir_all(&folder)?;
        for server in drawn.servers() {
            assert!(svg.contains(&server), "{server}");
        }
        // Four servers at five places, less the one of a server that has no figure at the last.
        assert_eq!(svg.matches("<circle").count(), 4 * 5 - 1, "{svg}");
        Ok(())
    }
}

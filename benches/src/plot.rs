//! Draws panels above each other over one logarithmic axis, as SVG.

use std::fmt::Write;

/// How values lie on an axis.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Evenly, from zero.
    Linear,
    /// Each power of ten as far from the next.
    Logarithmic,
}

/// A line through points.
pub struct Series {
    /// What it shows, for the legend.
    pub name: String,
    /// In rising order of x; all values are above zero.
    pub points: Vec<(f64, f64)>,
}

/// One diagram.
pub struct Panel {
    /// Stands above it and names the unit.
    pub title: &'static str,
    /// Short, for the text at a point.
    pub y_unit: &'static str,
    pub y_scale: Scale,
    pub series: Vec<Series>,
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 28.0;
/// Above a panel's frame: its title and legend.
const HEAD: f64 = 72.0;
const FRAME: f64 = 200.0;
/// Below the last frame: the axis and its name.
const FOOT: f64 = 54.0;

/// Told apart also without colours, by their marks.
const COLOURS: [&str; 3] = ["#1f6fb2", "#c8500f", "#3d7d3d"];

const STYLE: &str = "text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-size:13px;fill:#24292f}\
    .title{font-size:15px;font-weight:600}.tick{fill:#57606a;font-size:12px}.grid{stroke:#e3e7eb;stroke-width:1}\
    .axis{stroke:#8c959f;stroke-width:1;fill:none}.line{fill:none;stroke-width:2.2;stroke-linejoin:round}";

/// The whole picture.
pub fn draw(x_name: &str, panels: &[Panel]) -> String {
    let height = panels.len() as f64 * (HEAD + FRAME) + FOOT;
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">
<style>{STYLE}</style>
<rect width="{WIDTH}" height="{height}" fill="white"/>"#
    );
    let xs: Vec<f64> = panels
        .iter()
        .flat_map(|panel| &panel.series)
        .flat_map(|series| series.points.iter().map(|(x, _)| *x))
        .collect();
    let x_axis = Axis::over(&xs, Scale::Logarithmic, LEFT + 12.0, WIDTH - RIGHT - 12.0);
    for (number, panel) in panels.iter().enumerate() {
        let top = number as f64 * (HEAD + FRAME) + HEAD;
        draw_panel(&mut svg, panel, &x_axis, top);
    }
    let bottom = height - FOOT;
    for x in x_axis.ticks() {
        text(
            &mut svg,
            x_axis.at(x),
            bottom + 19.0,
            "tick",
            "middle",
            &short(x),
        );
    }
    text(
        &mut svg,
        (LEFT + WIDTH - RIGHT) / 2.0,
        bottom + 42.0,
        "",
        "middle",
        x_name,
    );
    svg.push_str("</svg>\n");
    svg
}

fn draw_panel(svg: &mut String, panel: &Panel, x_axis: &Axis, top: f64) {
    let bottom = top + FRAME;
    let right = WIDTH - RIGHT;
    let ys: Vec<f64> = panel
        .series
        .iter()
        .flat_map(|series| series.points.iter().map(|(_, y)| *y))
        .collect();
    let y_axis = Axis::over(&ys, panel.y_scale, bottom, top);
    text(svg, LEFT, top - 34.0, "title", "start", panel.title);
    for y in y_axis.ticks() {
        let at = y_axis.at(y);
        let _ = writeln!(
            svg,
            r#"<line class="grid" x1="{LEFT}" y1="{at:.1}" x2="{right}" y2="{at:.1}"/>"#
        );
        text(svg, LEFT - 8.0, at + 4.0, "tick", "end", &short(y));
    }
    for x in x_axis.ticks() {
        let at = x_axis.at(x);
        let _ = writeln!(
            svg,
            r#"<line class="grid" x1="{at:.1}" y1="{top}" x2="{at:.1}" y2="{bottom}"/>"#
        );
    }
    let _ = writeln!(
        svg,
        r#"<path class="axis" d="M{LEFT} {top}V{bottom}H{right}"/>"#
    );
    let mut legend = LEFT;
    for (number, series) in panel.series.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let points: Vec<(f64, f64)> = series
            .points
            .iter()
            .map(|(x, y)| (x_axis.at(*x), y_axis.at(*y)))
            .collect();
        let path: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            svg,
            r#"<polyline class="line" stroke="{colour}" points="{}"/>"#,
            path.join(" ")
        );
        for ((x, y), (_, value)) in points.iter().zip(&series.points) {
            mark(
                svg,
                number,
                *x,
                *y,
                colour,
                &format!("{}: {} {}", series.name, short(*value), panel.y_unit),
            );
        }
        mark(svg, number, legend + 6.0, top - 16.0, colour, &series.name);
        text(svg, legend + 17.0, top - 12.0, "", "start", &series.name);
        legend += 44.0 + 7.0 * series.name.chars().count() as f64;
    }
}

/// A point, with a text for those who point at it: a circle in the first series, a square in the second.
fn mark(svg: &mut String, number: usize, x: f64, y: f64, colour: &str, title: &str) {
    let (name, shape) = if number.is_multiple_of(2) {
        ("circle", format!(r#"cx="{x:.1}" cy="{y:.1}" r="4.2""#))
    } else {
        let (x, y) = (x - 3.8, y - 3.8);
        (
            "rect",
            format!(r#"x="{x:.1}" y="{y:.1}" width="7.6" height="7.6""#),
        )
    };
    let _ = writeln!(
        svg,
        r#"<{name} {shape} fill="{colour}"><title>{}</title></{name}>"#,
        escaped(title)
    );
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, anchor: &str, content: &str) {
    let class = if class.is_empty() {
        String::new()
    } else {
        format!(r#" class="{class}""#)
    };
    let _ = writeln!(
        svg,
        r#"<text{class} x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
        escaped(content)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// An axis: from values to places on the picture.
struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// Takes in all values, with round ends: zero at the bottom of an even axis, on a logarithmic one 1, 2 or 5 times a
    /// power of ten.
    fn over(values: &[f64], scale: Scale, from: f64, to: f64) -> Self {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = match scale {
            Scale::Linear => (0.0, most * 1.12),
            Scale::Logarithmic => (round_down(least), round_up(most)),
        };
        Self {
            scale,
            low,
            high,
            from,
            to,
        }
    }

    fn at(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        self.from + share * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<f64> {
        let within = |value: &f64| *value <= self.high * 1.000_001;
        match self.scale {
            Scale::Linear => {
                let step = round_up(self.high / 6.0);
                (0..=20)
                    .map(|n| f64::from(n) * step)
                    .filter(within)
                    .collect()
            }
            Scale::Logarithmic => {
                let mut ticks = vec![self.low];
                while let Some(next) = ticks
                    .last()
                    .map(|tick| round_up(tick * 1.01))
                    .filter(within)
                {
                    ticks.push(next);
                }
                ticks
            }
        }
    }
}

/// The next 1, 2 or 5 times a power of ten that is not smaller.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|round| *round >= value * 0.999_999)
        .unwrap_or(10.0 * power)
}

/// The last 1, 2 or 5 times a power of ten that is not larger.
fn round_down(value: f64) -> f64 {
    let power = 10_f64.powf((value * 1.000_001).log10().floor());
    [5.0, 2.0, 1.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|round| *round <= value * 1.000_001)
        .unwrap_or(power)
}

/// A number for people: 5M, 200k, 0.5.
fn short(value: f64) -> String {
    let (scaled, unit) = match value {
        v if v >= 1e6 => (v / 1e6, "M"),
        v if v >= 1e4 => (v / 1e3, "k"),
        v => (v, ""),
    };
    let text = format!("{scaled:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::{Axis, Panel, Scale, Series, draw, short};

    #[test]
    fn axes_end_at_round_values_and_hold_all_points() {
        let axis = Axis::over(&[5000.0, 100_000.0], Scale::Logarithmic, 0.0, 100.0);
        assert_eq!(axis.ticks(), [5e3, 1e4, 2e4, 5e4, 1e5]);
        assert!(axis.at(5000.0).abs() < 1e-9);
        assert!((axis.at(100_000.0) - 100.0).abs() < 1e-9);
        let axis = Axis::over(&[31_000.0, 29_000.0], Scale::Linear, 100.0, 0.0);
        assert_eq!(axis.ticks(), [0.0, 1e4, 2e4, 3e4]);
        assert!(axis.at(31_000.0) > 0.0);
    }

    #[test]
    fn numbers_are_short() {
        let texts: Vec<String> = [0.5, 2.25, 5000.0, 20_000.0, 5e6].map(short).to_vec();
        assert_eq!(texts, ["0.5", "2.25", "5000", "20k", "5M"]);
    }

    #[test]
    fn a_picture_shows_every_series_and_point() {
        let series = |name: &str| Series {
            name: name.to_owned(),
            points: vec![(10.0, 1.0), (1000.0, 3.0)],
        };
        let svg = draw(
            "cases",
            &[Panel {
                title: "Time",
                y_unit: "ms",
                y_scale: Scale::Linear,
                series: vec![series("a < b"), series("c")],
            }],
        );
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<polyline").count(), 2);
        // Two points and one mark in the legend.
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains("a &lt; b") && !svg.contains("NaN"));
    }
}

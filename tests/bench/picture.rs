//! Cost against size, as a picture.

use std::fmt::Write as _;

/// How many users, and the medians.
pub type Line = (usize, f64, f64);

/// By how many users, the medians of Zipf's law and of a uniform draw in ns: an SVG picture, sizes by their logarithm.
pub fn draw(lines: &[Line]) -> String {
    const LEFT: f64 = 60.0;
    const TOP: f64 = 30.0;
    const WIDTH: f64 = 480.0;
    const HEIGHT: f64 = 220.0;
    let most = lines.iter().map(|line| line.1.max(line.2)).fold(0.0, f64::max);
    let top = (most / 100.0).ceil() * 100.0;
    let x = |users: usize| LEFT + WIDTH * ((users as f64).log10() - 3.0) / 3.0;
    let y = |ns: f64| TOP + HEIGHT * (1.0 - ns / top);
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 300\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"640\" height=\"300\" fill=\"white\"/>\n\
         <text x=\"60\" y=\"18\">A decision in process: median, ns, by the number of users</text>\n",
    );
    for ns in (0..=top as usize).step_by(100) {
        let y = y(ns as f64);
        let (right, label) = (LEFT + WIDTH, LEFT - 8.0);
        writeln!(svg, "<path d=\"M{LEFT} {y:.0}H{right}\" stroke=\"#ddd\"/><text x=\"{label}\" y=\"{:.0}\" text-anchor=\"end\">{ns}</text>", y + 4.0)
            .unwrap();
    }
    for (users, ..) in lines {
        let (x, y, label) = (x(*users), TOP + HEIGHT + 20.0, thousands(*users));
        writeln!(svg, "<text x=\"{x:.0}\" y=\"{y}\" text-anchor=\"middle\">{label}</text>").unwrap();
    }
    for (name, color, zipf) in [("uniform", "#d95f02", false), ("Zipf 1.0", "#1b9e77", true)] {
        let of = |line: &Line| if zipf { line.1 } else { line.2 };
        let points: Vec<String> = lines.iter().map(|line| format!("{:.0},{:.0}", x(line.0), y(of(line)))).collect();
        writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
            points.join(" ")
        )
        .unwrap();
        for line in lines {
            let (x, y, ns) = (x(line.0), y(of(line)), of(line));
            writeln!(
                svg,
                "<circle cx=\"{x:.0}\" cy=\"{y:.0}\" r=\"3\" fill=\"{color}\"><title>{ns:.0} ns</title></circle>"
            )
            .unwrap();
        }
        let end = lines.last().map_or(0.0, |line| y(of(line)) + 4.0);
        writeln!(svg, "<text x=\"{:.0}\" y=\"{end:.0}\" fill=\"{color}\">{name}</text>", LEFT + WIDTH + 8.0).unwrap();
    }
    svg.push_str("</svg>\n");
    svg
}

fn thousands(n: usize) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{},000", n / 1_000),
        _ => format!("{},000,000", n / 1_000_000),
    }
}

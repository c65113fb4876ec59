//! `helm show`: what a chart says of itself. It never renders.

use chart::chart::Chart;

use super::flags::{Flag, Kind, Matches, of};
use super::{Done, Fault, chart_files, locate};
use crate::output;

/// A flag of `show values`.
pub(super) const VALUES_FLAGS: &[Flag] = &[of(Kind::Text, "jsonpath", "supply a JSONPath expression to filter the output")];

/// What is to be seen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    Chart,
    Values,
    Readme,
    Crds,
}

pub(super) fn all(matches: &Matches) -> Done {
    show(matches, Part::All)
}

pub(super) fn chart(matches: &Matches) -> Done {
    show(matches, Part::Chart)
}

pub(super) fn values(matches: &Matches) -> Done {
    show(matches, Part::Values)
}

pub(super) fn readme(matches: &Matches) -> Done {
    show(matches, Part::Readme)
}

pub(super) fn crds(matches: &Matches) -> Done {
    show(matches, Part::Crds)
}

fn show(matches: &Matches, part: Part) -> Done {
    let path = locate::locate(matches, matches.argument(0))?;
    let chart = chart_files::load(&path)?;
    let mut out = String::new();
    let wants = |which: Part| part == which || part == Part::All;
    if wants(Part::Chart) {
        out.push_str(&chart.metadata.to_yaml());
        out.push('\n');
    }
    if wants(Part::Values) && chart.raw_file("values.yaml").is_some() {
        show_values(matches, &chart, part == Part::All, &mut out)?;
    }
    if wants(Part::Readme)
        && let Some(readme) = find_readme(&chart)
    {
        if part == Part::All {
            out.push_str("---\n");
        }
        out.push_str(&readme);
        out.push('\n');
    }
    if wants(Part::Crds) {
        for crd in chart.crds() {
            if !crd.data.starts_with(b"---") {
                out.push_str("---\n");
            }
            out.push_str(&String::from_utf8_lossy(&crd.data));
            out.push('\n');
        }
    }
    output::text(&out);
    Ok(())
}

fn show_values(matches: &Matches, chart: &Chart, separated: bool, out: &mut String) -> Done {
    if separated {
        out.push_str("---\n");
    }
    if matches.said("jsonpath") {
        return Err(Fault::new("--jsonpath is not known yet"));
    }
    if let Some(file) = chart.raw_file("values.yaml") {
        out.push_str(&String::from_utf8_lossy(&file.data));
        out.push('\n');
    }
    Ok(())
}

fn find_readme(chart: &Chart) -> Option<String> {
    let known = ["readme.md", "readme.txt", "readme"];
    let file = chart.files.iter().find(|file| known.iter().any(|name| file.name.eq_ignore_ascii_case(name)))?;
    Some(String::from_utf8_lossy(&file.data).into_owned())
}

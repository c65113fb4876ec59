//! How fast charts render and releases are installed, beside Helm: whole processes, many releases in one process, and a cluster.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use acceptance::{Cluster, Program, binary};
use anyhow::{Context as _, ensure};
use chart::{
    chart::File,
    functions::Still,
    load,
    render::Release,
    template::{self, Request},
    values::Values,
};

use crate::{Figure, rows::median_ms};

/// How often a whole process is measured.
const TIMES: usize = 15;
/// How many subcharts the umbrella has, and how many copies of the small chart's templates each.
const SUBCHARTS: usize = 20;
const COPIES: usize = 3;
/// How many releases one process renders.
const RELEASES: usize = 1000;
/// How many releases are installed in a cluster.
const INSTALLED: usize = 50;

/// Beside Helm, which is built from its module unless the path has it.
pub fn measure(_: Option<&Path>) -> anyhow::Result<Vec<Figure>> {
    let folder = env::temp_dir().join(format!("coracle-bench-charts-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let measured = measure_in(&folder);
    fs::remove_dir_all(&folder)?;
    measured
}

fn measure_in(folder: &Path) -> anyhow::Result<Vec<Figure>> {
    let helm = helm(folder)?;
    let small = sources().join("tests/trees/created/chart");
    let umbrella = folder.join("umbrella");
    let templates = write_umbrella(&small, &umbrella)?;
    let (ours, theirs) = beside(&helm, &small)?;
    let mut figures = vec![compared("`helm template` of a small chart, whole process, p50".to_owned(), ours, theirs, "≥ 10 ×")];
    let (ours, theirs) = beside(&helm, &umbrella)?;
    figures.push(compared(format!("`helm template` of an umbrella of {templates} templates, p50"), ours, theirs, "≥ 5 ×"));
    figures.push(in_one_process(folder, &small)?);
    figures.push(linear()?);
    figures.push(installed(&helm, &small)?);
    Ok(figures)
}

fn compared(what: String, ours: f64, theirs: f64, bar: &'static str) -> Figure {
    Figure {
        upstream: format!("{theirs:.1} ms"),
        ratio: format!("{:.1} ×", theirs / ours),
        ..Figure::new(what, format!("{ours:.1} ms"), bar)
    }
}

/// The crate of charts.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/chart")
}

fn helm(folder: &Path) -> anyhow::Result<PathBuf> {
    let found = Program::new("helm").arguments(["version", "--template", "{{ .Version }}"]).run();
    if found.is_ok_and(|found| found.stdout.starts_with("v4")) {
        return Ok("helm".into());
    }
    go_build(&sources().join("../coracle/tests/helm/oracle"), "helm.sh/helm/v4/cmd/helm", folder.join("helm"))
}

fn go_build(module: &Path, package: &str, target: PathBuf) -> anyhow::Result<PathBuf> {
    let words = ["build", "-C", &module.display().to_string(), "-o", &target.display().to_string(), package];
    Program::new("go").arguments(words).run()?.ok().context("Helm does not build")?;
    Ok(target)
}

/// The small chart's templates again and again, below subcharts.
fn write_umbrella(small: &Path, to: &Path) -> anyhow::Result<usize> {
    let write = |path: PathBuf, text: &str| {
        fs::create_dir_all(path.parent().unwrap_or(to))?;
        fs::write(path, text)
    };
    let mut dependencies = String::new();
    let mut templates = 0;
    for number in 0..SUBCHARTS {
        let below = to.join(format!("charts/part{number}"));
        dependencies.push_str(&format!("- {{name: part{number}, version: 0.1.0, condition: part{number}.enabled}}\n"));
        write(below.join("Chart.yaml"), &format!("{{apiVersion: v2, name: part{number}, version: 0.1.0, appVersion: '1'}}\n"))?;
        write(below.join("values.yaml"), &fs::read_to_string(small.join("values.yaml"))?)?;
        for file in files(small)?.iter().filter(|file| file.name.starts_with("templates/")) {
            let text = String::from_utf8_lossy(&file.data).replace("created.", &format!("part{number}."));
            if file.name.ends_with(".tpl") {
                write(below.join(&file.name), &text)?;
                continue;
            }
            if !file.name.ends_with(".yaml") {
                continue;
            }
            for copy in 0..COPIES {
                write(below.join(format!("{}-{copy}.yaml", file.name)), &text)?;
                templates += 1;
            }
        }
    }
    write(to.join("Chart.yaml"), &format!("apiVersion: v2\nname: umbrella\nversion: 0.1.0\ndependencies:\n{dependencies}"))?;
    write(to.join("values.yaml"), "global: {region: eu}\npart1: {replicaCount: 3, ingress: {enabled: true}}\n")?;
    Ok(templates)
}

/// The files of a folder, by their paths below it.
fn files(top: &Path) -> anyhow::Result<Vec<File>> {
    let mut files = Vec::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(top)?.to_string_lossy().into_owned();
            files.push(File { name, data: fs::read(&path)?, modified: None });
        }
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

/// Both programs in turn on one chart, in milliseconds: ours, Helm's. What they print must be the same.
fn beside(helm: &Path, chart: &Path) -> anyhow::Result<(f64, f64)> {
    let run = |program: &Path, before: &[&str]| {
        let chart = chart.display().to_string();
        let words = before.iter().copied().chain(["template", "release", chart.as_str()]);
        let begun = Instant::now();
        let text = Program::new(program).arguments(words).run()?.ok()?;
        anyhow::Ok((begun.elapsed(), text))
    };
    let ours = binary()?;
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let (time, said) = run(&ours, &["helm"])?;
        mine.push(time);
        let (time, right) = run(helm, &[])?;
        theirs.push(time);
        ensure!(said == right, "both render {} apart", chart.display());
    }
    Ok((median_ms(mine), median_ms(theirs)))
}

fn render(chart: &Path, name: &str) -> anyhow::Result<usize> {
    let loaded = load::load(files(chart)?)?;
    let values = Values::new();
    let release = Release { name: name.to_owned(), namespace: "default".to_owned(), revision: 1, upgrade: false };
    let request = Request {
        values: &values,
        release,
        capabilities: template::imagined(),
        include_crds: false,
        skip_schema: false,
        subchart_notes: false,
    };
    Ok(template::template(loaded.chart, request, &Still)?.manifest.len())
}

/// Many releases, each loaded from disk and rendered, in one process: this one, and one that uses Helm as a library.
fn in_one_process(folder: &Path, chart: &Path) -> anyhow::Result<Figure> {
    let library = go_build(&sources().join("tests/trees-oracle"), ".", folder.join("library"))?;
    let name = |number: usize| format!("release-{number}");
    let begun = Instant::now();
    for number in 0..RELEASES {
        render(chart, &name(number))?;
    }
    let ours = begun.elapsed();
    let questions: String = (0..RELEASES)
        .map(|number| serde_json::json!({"chart": chart, "name": name(number), "namespace": "default"}).to_string() + "\n")
        .collect();
    let begun = Instant::now();
    let said = Program::new(library).input(&questions).run()?.ok()?;
    let theirs = begun.elapsed();
    ensure!(said.lines().count() == RELEASES, "Helm did not render all releases");
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(compared(format!("{RELEASES} releases of the small chart in one process"), ms(ours), ms(theirs), ""))
}

/// What a byte of output takes, and how much more where there are eight times as many of them.
fn linear() -> anyhow::Result<Figure> {
    let body = "{{- define \"name\" }}{{ printf \"%s-%s\" .Release.Name .Chart.Name | trunc 63 }}{{ end }}\
        {{- range $i := until (int .Values.count) }}\n{{ include \"name\" $ }}-{{ $i }}: {{ dict \"a\" $i | toYaml | nindent 2 }}{{ end }}\n";
    let nanoseconds_a_byte = |count: usize| {
        let named = |name: &str, text: String| File { name: name.to_owned(), data: text.into_bytes(), modified: None };
        let mut best = f64::MAX;
        for _ in 0..5 {
            let files = vec![
                named("Chart.yaml", "{apiVersion: v2, name: long, version: 0.1.0}".to_owned()),
                named("values.yaml", format!("count: {count}")),
                named("templates/long.yaml", body.to_owned()),
            ];
            let loaded = load::load(files)?;
            let values = Values::new();
            let begun = Instant::now();
            let request = Request {
                values: &values,
                release: Release::default(),
                capabilities: template::imagined(),
                include_crds: false,
                skip_schema: false,
                subchart_notes: false,
            };
            let written = template::template(loaded.chart, request, &Still)?.manifest.len();
            #[expect(clippy::cast_precision_loss, reason = "a few megabytes")]
            let each = begun.elapsed().as_secs_f64() * 1e9 / written as f64;
            best = best.min(each);
        }
        anyhow::Ok(best)
    };
    let (short, long) = (nanoseconds_a_byte(5_000)?, nanoseconds_a_byte(40_000)?);
    let measured = format!("{short:.0} → {long:.0} ns ({:.2} ×)", long / short);
    Ok(Figure::new("a byte of output, and where there are eight times as many", measured, "≤ 1.05 ×"))
}

/// Installs releases, one process each, in a cluster of its own: by ours, and by Helm in another namespace.
fn installed(helm: &Path, chart: &Path) -> anyhow::Result<Figure> {
    let cluster = Cluster::up(1)?;
    let measured = install_all(&cluster, helm, chart);
    cluster.down()?;
    let (ours, theirs) = measured?;
    Ok(compared(format!("install of {INSTALLED} releases, one after the other"), ours, theirs, ""))
}

fn install_all(cluster: &Cluster, helm: &Path, chart: &Path) -> anyhow::Result<(f64, f64)> {
    let kubeconfig = cluster.kubeconfig().display().to_string();
    let chart = chart.display().to_string();
    let all = |program: &Path, before: &[&str], namespace: &str| {
        let begun = Instant::now();
        for number in 0..INSTALLED {
            let name = format!("release-{number}");
            let words = ["install", &name, &chart, "-n", namespace, "--set", "replicaCount=0"];
            let words = before.iter().copied().chain(words);
            Program::new(program).arguments(words).variable("KUBECONFIG", &kubeconfig).run()?.ok()?;
        }
        anyhow::Ok(begun.elapsed().as_secs_f64() * 1e3)
    };
    let (mine, other) = (cluster.namespace()?, cluster.namespace()?);
    let ours = all(&binary()?, &["helm"], &mine)?;
    Ok((ours, all(helm, &[], &other)?))
}

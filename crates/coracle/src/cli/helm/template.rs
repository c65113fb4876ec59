//! `helm template`. It changes no cluster, and asks one only where that is wished.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use chart::chart::Chart;
use chart::functions::Facts;
use chart::load::ignore;
use chart::release::{HookEvent, documents};
use chart::template::{self, Rendered, Request, TemplateError};

use platform::helm::Wish;

use super::connect::{Connection, connect};
use super::flags::{Flag, Kind, Matches, of, on, switch};
use super::options::{self, Dry};
use super::supply::Supply;
use super::world::Machine;
use super::{Done, Fault, chart_files, locate, post_render, settings};
use crate::output;

/// Flags that installing shares.
pub(super) const INSTALL_FLAGS: &[Flag] = &[
    switch("create-namespace", "create the release namespace if not present"),
    switch("force-replace", "force resource updates by replacement"),
    switch("force", "deprecated").deprecated("use --force-replace instead"),
    switch("force-conflicts", "if set server-side apply will force changes against conflicts"),
    on("server-side", "object updates run in the server instead of the client"),
    switch("no-hooks", "prevent hooks from running during install"),
    switch("replace", "reuse the given name, only if that name is a deleted release which remains in the history"),
    of(Kind::Duration, "timeout", "time to wait for any individual Kubernetes operation").default("5m0s"),
    switch("wait-for-jobs", "if set and --wait enabled, will wait until all Jobs have been completed"),
    of(Kind::Wait, "wait", "wait until resources are ready").default("hookOnly").bare("watcher"),
    switch("generate-name", "generate the name (and omit the NAME parameter)").short('g'),
    of(Kind::Text, "name-template", "specify template used to name the release"),
    of(Kind::Text, "description", "add a custom description"),
    switch("dependency-update", "update dependencies if they are missing before installing the chart"),
    switch("disable-openapi-validation", "do not validate rendered templates against the OpenAPI Schema"),
    switch("rollback-on-failure", "if set, Helm will rollback (uninstall) the installation upon failure"),
    switch("atomic", "deprecated").deprecated("use --rollback-on-failure instead"),
    switch("skip-crds", "if set, no CRDs will be installed"),
    switch("skip-schema-validation", "if set, disables JSON schema validation"),
    of(Kind::Pairs, "labels", "Labels that would be added to release metadata. Should be divided by comma.").short('l'),
    switch("enable-dns", "enable DNS lookups when rendering templates"),
    switch("take-ownership", "if set, install will ignore the check for helm annotations and take ownership"),
    of(Kind::Text, "post-renderer", "the name of a postrenderer type plugin to be used for post rendering"),
    of(Kind::List, "post-renderer-args", "an argument to the post-renderer (can specify multiple)"),
];

const NO_EFFECT: &str = "this flag has no effect for 'helm template' and will be removed in Helm 5";

/// Its own flags.
pub(super) const FLAGS: &[Flag] = &[
    of(Kind::List, "show-only", "only show manifests rendered from the given templates").short('s'),
    of(Kind::Text, "output-dir", "writes the executed templates to files in output-dir instead of stdout"),
    switch("validate", "deprecated").deprecated("use '--dry-run=server' instead"),
    switch("hide-notes", "no effect").deprecated(NO_EFFECT),
    switch("render-subchart-notes", "no effect").deprecated(NO_EFFECT),
    switch("include-crds", "include CRDs in the templated output"),
    switch("skip-tests", "skip tests from templated output"),
    switch("is-upgrade", "set .Release.IsUpgrade instead of .Release.IsInstall"),
    of(Kind::Text, "kube-version", "Kubernetes version used for Capabilities.KubeVersion"),
    of(Kind::Commas, "api-versions", "Kubernetes api versions used for Capabilities.APIVersions").short('a'),
    switch("release-name", "use release name in the output-dir path."),
    of(Kind::Text, "dry-run", "simulates the operation either client-side or server-side").default("client").bare("unset"),
];

/// A name as Helm accepts it for a release.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let part = |part: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && part.chars().all(inner)
    };
    if name.is_empty() {
        return Err("release name \"\": no name provided".to_owned());
    }
    if name.len() <= 53 && name.split('.').all(part) {
        return Ok(());
    }
    let pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
    Err(format!(
        "release name {name:?}: invalid release name, must match regex {pattern} and the length must not be longer than 53"
    ))
}

/// The release's name and the chart's reference; `given` is the name where none is said.
pub(super) fn name_and_chart<'m>(matches: &'m Matches, given: &str) -> Result<(String, &'m str), Fault> {
    let arguments = &matches.arguments;
    if arguments.len() > 2 {
        let rest = arguments[2..].join(", ");
        return Err(Fault::new(format!("expected at most two arguments, unexpected arguments: {rest}")));
    }
    if let [name, chart] = arguments.as_slice() {
        if matches.flag("generate-name") {
            return Err(Fault::new("cannot set --generate-name and also specify a name"));
        }
        if !matches.text("name-template").is_empty() {
            return Err(Fault::new("cannot set --name-template and also specify a name"));
        }
        return Ok((name.clone(), chart));
    }
    let chart = matches.argument(0);
    if !matches.text("name-template").is_empty() {
        return Ok((named_by(matches.text("name-template"))?, chart));
    }
    if !given.is_empty() {
        return Ok((given.to_owned(), chart));
    }
    if !matches.flag("generate-name") {
        return Err(Fault::new("must either provide a name or specify --generate-name"));
    }
    let base = chart.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let base = base.split('.').next().filter(|base| !base.is_empty()).unwrap_or("chart");
    Ok((format!("{base}-{}", jiff::Timestamp::now().as_second()), chart))
}

/// A name made by a template.
fn named_by(template: &str) -> Result<String, Fault> {
    let source = chart::render::Source {
        name: "name-template".to_owned(),
        templates: vec![("t".to_owned(), template.as_bytes().to_vec())],
        ..chart::render::Source::default()
    };
    let given = chart::render::Given {
        values: chart::value::Value::Map(chart::value::Map::any()),
        release: chart::render::Release::default(),
        capabilities: template::imagined(),
    };
    let files = chart::render::render(&source, &given, &Machine { dns: false }, chart::render::Options::default())?;
    Ok(files.into_values().next().unwrap_or_default())
}

/// Refuses charts that are none to install; warns of those that go away, and sees to what they need.
pub(super) fn installable(matches: &Matches, path: &Path, chart: Chart) -> Result<Chart, Fault> {
    if !matches!(chart.metadata.kind.as_str(), "" | "application") {
        return Err(Fault::new(format!("{} charts are not installable", chart.metadata.kind)));
    }
    if chart.metadata.deprecated {
        output::remark("level=WARN msg=\"this chart is deprecated\"");
    }
    with_dependencies(matches, path, chart)
}

/// The chart with all that it needs, fetched where that is asked for; refuses one that has it not.
pub(super) fn with_dependencies(matches: &Matches, path: &Path, chart: Chart) -> Result<Chart, Fault> {
    match check_dependencies(&chart) {
        Err(_) if matches.flag("dependency-update") => {
            Supply::new(matches, path, false)?.update()?;
            chart_files::load(path)
                .map_err(|fault| Fault::new(format!("failed reloading chart after repo update: {}", fault.text)))
        }
        done => done.map(|()| chart),
    }
}

fn check_dependencies(chart: &Chart) -> Done {
    let here = |name: &str| chart.dependencies.iter().any(|subchart| subchart.name() == name);
    let missing: Vec<&str> =
        chart.metadata.dependencies.iter().map(|dependency| dependency.name.as_str()).filter(|name| !here(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Fault::new(format!(
        "an error occurred while checking for chart dependencies. You may need to run 'helm dependency build' to fetch missing dependencies: found in Chart.yaml, but missing in charts/ directory: {}",
        missing.join(", ")
    )))
}

/// Does what was asked.
pub(super) fn run(matches: &Matches) -> Done {
    options::check_flags(matches)?;
    if matches.said("validate") && matches.said("dry-run") {
        return Err(Fault::new(
            "if any flags in the group [validate dry-run] are set none of the others can be; [dry-run validate] were all set",
        ));
    }
    let mut capabilities = template::imagined();
    if !matches.text("kube-version").is_empty() {
        let text = matches.text("kube-version");
        capabilities.kube =
            template::kube_version(text).map_err(|why| Fault::new(format!("invalid kube version '{text}': {why}")))?;
    }
    capabilities.api_versions.extend(matches.list("api-versions").iter().cloned());
    let dry = if matches.flag("validate") { Dry::Server } else { options::dry_run(matches, true)? };
    let (name, reference) = name_and_chart(matches, "release-name")?;
    let path = locate::locate(matches, reference)?;
    let values = settings::values_of(matches)?;
    let chart = installable(matches, &path, chart_files::load(&path)?)?;
    let connection = if dry == Dry::Server { Some(connect(matches)?) } else { None };
    if let Some(connection) = &connection {
        let unreachable = |fault: Fault| Fault::new(format!("cluster reachability check failed: {}", fault.text));
        connection.check().map_err(unreachable)?;
        capabilities = connection.capabilities()?;
    }
    check_name(&name).map_err(|why| {
        output::remark(&format!("level=ERROR msg=\"release name check failed\" error={why:?}"));
        Fault::new(format!("release name check failed: {why}"))
    })?;
    let namespace = connection.as_ref().map_or_else(|| settings::namespace(matches), |it| it.cluster.namespace.clone());
    let request = Request {
        values: &values,
        release: chart::render::Release { name: name.clone(), namespace, revision: 1, upgrade: matches.flag("is-upgrade") },
        capabilities,
        include_crds: matches.flag("include-crds"),
        skip_schema: matches.flag("skip-schema-validation"),
        subchart_notes: matches.flag("render-subchart-notes"),
    };
    let dns = matches.flag("enable-dns");
    let facts: Box<dyn Facts> = match &connection {
        Some(connection) => Box::new(connection.facts(dns)),
        None => Box::new(Machine { dns }),
    };
    match template::template(chart, request, facts.as_ref()) {
        Ok(mut rendered) => {
            rendered.warnings.iter().for_each(|line| output::remark(line));
            post_render::apply(matches, &mut rendered)?;
            if let Some(connection) = connection.filter(|_| !matches.flag("is-upgrade")) {
                check_objects(matches, &connection, &name, &rendered)?;
            }
            print(matches, &rendered, &name)
        }
        Err(error) => Err(unrendered(matches, &error)),
    }
}

/// Whether the cluster would take what was rendered.
fn check_objects(matches: &Matches, connection: &Connection, name: &str, rendered: &Rendered) -> Done {
    let how = options::how(matches, Some(matches.flag("server-side")), Dry::Server);
    let wish = Wish { name, rendered, config: chart::values::Values::new(), labels: options::labels(matches)?, how };
    connection.runtime.block_on(platform::helm::install(&connection.cluster, wish))?;
    Ok(())
}

/// Why there are no manifests; what there is of them is printed where that was asked for.
fn unrendered(matches: &Matches, error: &TemplateError) -> Fault {
    if let TemplateError::SettleDependencies(why) = error {
        let why = why.to_string();
        output::remark(&format!("level=ERROR msg=\"chart dependencies processing failed\" error={why:?}"));
    }
    let partial = match error {
        TemplateError::Sort { text, .. } => Some(text.as_str()),
        TemplateError::Render(_) | TemplateError::FitKubernetes { .. } => Some(""),
        _ => None,
    };
    match partial {
        None => Fault::new(error.to_string()),
        Some(text) if matches.flag("debug") => {
            output::text(&format!("{}\n", text.trim()));
            Fault::new(error.to_string())
        }
        Some(_) => Fault::new(format!("{error}\n\nUse --debug flag to render out invalid YAML")),
    }
}

fn print(matches: &Matches, rendered: &Rendered, name: &str) -> Done {
    if !matches.text("output-dir").is_empty() {
        return write_files(matches, rendered, name);
    }
    let mut text = format!("{}\n", rendered.manifest.trim());
    if !matches.flag("no-hooks") {
        let skip_tests = matches.flag("skip-tests");
        for hook in rendered.hooks.iter().filter(|hook| !(skip_tests && hook.events.contains(&HookEvent::Test))) {
            text.push_str(&template::with_source(&hook.path, &hook.manifest));
        }
    }
    let wanted = matches.list("show-only");
    if wanted.is_empty() {
        output::text(&text);
        return Ok(());
    }
    let all = documents(&text);
    let mut shown = String::new();
    for pattern in wanted {
        let fits = |document: &&String| source_of(document).is_some_and(|path| ignore::matches(pattern, path).unwrap_or(false));
        let found: Vec<&String> = all.iter().filter(fits).collect();
        if found.is_empty() {
            return Err(Fault::new(format!("could not find template {pattern} in chart")));
        }
        found.iter().for_each(|document| shown.push_str(&format!("---\n{document}\n")));
    }
    output::text(&shown);
    Ok(())
}

/// The template of a document, below its chart.
fn source_of(document: &str) -> Option<&str> {
    let (_, rest) = document.split_once("# Source: ")?;
    let line = rest.lines().next()?;
    line.split_once('/').map(|(_, path)| path)
}

fn write_files(matches: &Matches, rendered: &Rendered, name: &str) -> Done {
    let mut folder = Path::new(matches.text("output-dir")).to_owned();
    if matches.flag("release-name") {
        folder = folder.join(name);
    }
    let mut written: BTreeMap<String, ()> = BTreeMap::new();
    let mut write = |path: &str, content: &str, told: bool| -> Done {
        let target = folder.join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(|error| Fault::new(chart_files::go_error("mkdir", parent, &error)))?;
        }
        let text = template::with_source(path, content);
        let again = written.insert(path.to_owned(), ()).is_some();
        let whole = if again { fs::read_to_string(&target).unwrap_or_default() + &text } else { text };
        fs::write(&target, whole).map_err(|error| Fault::new(chart_files::go_error("open", &target, &error)))?;
        if told {
            output::line(&format!("wrote {}", target.display()));
        }
        Ok(())
    };
    if matches.flag("include-crds") {
        for crd in rendered.chart.crds() {
            write(&crd.path, &String::from_utf8_lossy(&crd.data), true)?;
        }
    }
    for manifest in &rendered.manifests {
        write(&manifest.path, &manifest.content, true)?;
    }
    if !matches.flag("no-hooks") {
        for hook in &rendered.hooks {
            if matches.flag("skip-tests") && hook.events.contains(&HookEvent::Test) {
                continue;
            }
            write(&hook.path, &hook.manifest, true)?;
        }
    }
    output::text("\n");
    Ok(())
}

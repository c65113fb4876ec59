//! The commands that change a cluster: install, upgrade, rollback, uninstall, test. What they do is platform's.

use chart::functions::Facts;
use chart::release::{Apply, Hook, HookEvent, Release, Status};
use chart::render::Capabilities;
use chart::template::{self, Rendered, Request};
use chart::values::{self, Values};
use platform::helm::{self, Rollback, Store, Uninstall, Wish};

use super::connect::{Connection, connect};
use super::flags::Matches;
use super::options::{Dry, check_flags, dry_run, how, labels, side, timeout, waits};
use super::world::Machine;
use super::{Done, Fault, chart_files, locate, post_render, report, settings, template as offline};
use crate::output;

/// Renders a chart for a release, in the light of a cluster or of an imagined one.
fn render(
    matches: &Matches,
    chart: chart::chart::Chart,
    values: &Values,
    release: chart::render::Release,
    capabilities: Capabilities,
    facts: &dyn Facts,
) -> Result<Rendered, Fault> {
    let request = Request {
        values,
        release,
        capabilities,
        include_crds: false,
        skip_schema: matches.flag("skip-schema-validation"),
        subchart_notes: matches.flag("render-subchart-notes"),
    };
    let mut rendered = template::template(chart, request, facts)?;
    rendered.warnings.iter().for_each(|line| output::remark(line));
    post_render::apply(matches, &mut rendered)?;
    if matches.flag("hide-secret") {
        rendered.manifest = rendered.manifests.iter().map(hidden).collect();
    }
    Ok(rendered)
}

/// A manifest without what is secret in it.
fn hidden(manifest: &chart::release::Manifest) -> String {
    if manifest.head.kind == "Secret" && manifest.head.api_version == "v1" {
        return format!("---\n# Source: {}\n# HIDDEN: The Secret output has been suppressed\n", manifest.path);
    }
    template::with_source(&manifest.path, &manifest.content)
}

pub(super) fn install(matches: &Matches) -> Done {
    check_flags(matches)?;
    let dry = dry_run(matches, false)?;
    let server_side = matches.flag("server-side");
    install_as(matches, dry, server_side, matches.flag("replace"))
        .map_err(|fault| Fault { text: format!("INSTALLATION FAILED: {}", fault.text), ..fault })
}

const HIDES: &str = "hiding Kubernetes secrets requires a dry-run mode";

fn install_as(matches: &Matches, dry: Dry, server_side: bool, replace: bool) -> Done {
    let (name, reference) = offline::name_and_chart(matches, "")?;
    let path = locate::locate(matches, reference)?;
    let values = settings::values_of(matches)?;
    let chart = offline::installable(matches, &path, chart_files::load(&path)?)?;
    if dry == Dry::No && matches.flag("hide-secret") {
        output::remark(&format!("level=ERROR msg={HIDES:?}"));
        return Err(Fault::new(HIDES));
    }
    let failed = |why: String| {
        output::remark(&format!("level=ERROR msg=\"release name check failed\" error={why:?}"));
        Fault::new(format!("release name check failed: {why}"))
    };
    if dry == Dry::Client {
        offline::check_name(&name).map_err(failed)?;
        return install_offline(matches, &name, chart, &values, server_side);
    }
    let connection = connect(matches)?;
    let cluster = &connection.cluster;
    connection.check().map_err(|fault| Fault::new(format!("cluster reachability check failed: {}", fault.text)))?;
    offline::check_name(&name).map_err(failed)?;
    if dry == Dry::No {
        let free = connection.runtime.block_on(helm::check_free(cluster, &name, replace));
        free.map_err(|why| failed(why.to_string()))?;
    }
    if !matches.flag("skip-crds") && !chart.crds().is_empty() {
        if dry == Dry::No {
            connection.runtime.block_on(install_crds(cluster, &chart))?;
        } else {
            let text = "This chart or one of its subcharts contains CRDs. Rendering may fail or contain inaccuracies.";
            output::remark(&format!("level=WARN msg={text:?}"));
        }
    }
    let release =
        chart::render::Release { name: name.clone(), namespace: cluster.namespace.clone(), revision: 1, upgrade: false };
    let labels = labels(matches)?;
    let capabilities = connection.capabilities()?;
    let rendered = render(matches, chart, &values, release, capabilities, &connection.facts(matches.flag("enable-dns")))?;
    if matches.flag("create-namespace") && dry == Dry::No {
        let namespace = serde_json::json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": cluster.namespace, "labels": {"name": cluster.namespace}},
        });
        connection.runtime.block_on(cluster.create(&namespace))?;
    }
    let how = how(matches, Some(server_side), dry);
    let wish = Wish { name: &name, rendered: &rendered, config: config(&values), labels, how };
    let release = connection.runtime.block_on(helm::install(cluster, wish))?;
    report::print(matches, &release, matches.flag("hide-notes"))
}

/// Plays an installation through without a cluster.
fn install_offline(matches: &Matches, name: &str, chart: chart::chart::Chart, values: &Values, server_side: bool) -> Done {
    let namespace = connect(matches).map_or_else(|_| settings::namespace(matches), |found| found.cluster.namespace);
    let release = chart::render::Release { name: name.to_owned(), namespace: namespace.clone(), revision: 1, upgrade: false };
    let labels = labels(matches)?;
    let machine = Machine { dns: matches.flag("enable-dns") };
    let rendered = render(matches, chart, values, release, template::imagined(), &machine)?;
    let how = how(matches, Some(server_side), Dry::Client);
    let wish = Wish { name, rendered: &rendered, config: config(values), labels, how };
    let mut release = wish.record(&namespace, Status::PendingInstall, "Dry run complete");
    release.apply_method = if server_side { Apply::Server } else { Apply::Client };
    report::print(matches, &release, matches.flag("hide-notes"))
}

async fn install_crds(cluster: &helm::Cluster, chart: &chart::chart::Chart) -> Done {
    for crd in chart.crds() {
        for document in chart::release::documents(&String::from_utf8_lossy(&crd.data)) {
            let failed = |why: String| Fault::new(format!("failed to install CRD {}: {why}", crd.path));
            let object = chart::yaml::read(document.as_bytes()).map_err(|error| failed(error.to_string()))?;
            cluster.create(&object).await.map_err(|error| failed(error.to_string()))?;
        }
    }
    Ok(())
}

/// Values as a record keeps them: whole numbers are such.
fn config(values: &Values) -> Values {
    match chart::schema::whole(&serde_json::Value::Object(values.clone())) {
        serde_json::Value::Object(map) => map,
        _ => Values::new(),
    }
}

pub(super) fn upgrade(matches: &Matches) -> Done {
    check_flags(matches)?;
    let dry = dry_run(matches, false)?;
    let name = matches.argument(0).to_owned();
    if matches.flag("install") {
        let connection = connect(matches)?;
        check_name_as(&name, "release name is invalid")?;
        let history = connection.runtime.block_on(Store::new(&connection.cluster).history(&name))?;
        let uninstalled = history.last().is_some_and(|last| last.info.status == Status::Uninstalled);
        if history.is_empty() || uninstalled {
            if matches.text("output") == "table" {
                output::line(&format!("Release {name:?} does not exist. Installing it now."));
            }
            return install_as(matches, dry, matches.text("server-side") != "false", uninstalled);
        }
    }
    let path = locate::locate(matches, matches.argument(1))?;
    let given = settings::values_of(matches)?;
    let chart = offline::with_dependencies(matches, &path, chart_files::load(&path)?)?;
    if chart.metadata.deprecated {
        output::remark("level=WARN msg=\"this chart is deprecated\"");
    }
    let connection = connect(matches)?;
    let done = upgrade_with(matches, dry, &name, &connection, chart, given);
    let release = done.map_err(|fault| Fault { text: format!("UPGRADE FAILED: {}", fault.text), ..fault })?;
    if matches.text("output") == "table" {
        output::line(&format!("Release {name:?} has been upgraded. Happy Helming!"));
    }
    report::print(matches, &release, matches.flag("hide-notes"))
}

fn check_name_as(name: &str, text: &str) -> Done {
    offline::check_name(name).map_err(|_| Fault::new(format!("{text}: {name}")))
}

fn upgrade_with(
    matches: &Matches,
    dry: Dry,
    name: &str,
    connection: &Connection,
    mut chart: chart::chart::Chart,
    given: Values,
) -> Result<Release, Fault> {
    connection.check()?;
    check_name_as(name, "release name is invalid")?;
    if dry == Dry::No && matches.flag("hide-secret") {
        return Err(Fault::new(HIDES));
    }
    let history = connection.runtime.block_on(Store::new(&connection.cluster).history(name))?;
    let Some(last) = history.last() else {
        return Err(Fault::new(format!("{name:?} has no deployed releases")));
    };
    let current = history.iter().rev().find(|it| it.info.status == Status::Deployed).unwrap_or(last);
    let old = values::with_floats(current.config.clone());
    let values = if matches.flag("reset-values") {
        given
    } else if matches.flag("reuse-values") {
        reuse_defaults(&mut chart, current);
        values::coalesce_tables(&given, &old)
    } else if matches.flag("reset-then-reuse-values") || given.is_empty() {
        values::coalesce_tables(&given, &old)
    } else {
        given
    };
    let release = chart::render::Release {
        name: name.to_owned(),
        namespace: connection.cluster.namespace.clone(),
        revision: last.version + 1,
        upgrade: true,
    };
    let (labels, server_side) = (labels(matches)?, side(matches)?);
    let capabilities = connection.capabilities()?;
    let dns = matches.flag("enable-dns");
    let live = connection.facts(dns);
    let facts: &dyn Facts = if dry == Dry::Client { &Machine { dns } } else { &live };
    let rendered = render(matches, chart, &values, release, capabilities, facts)?;
    let wish = Wish { name, rendered: &rendered, config: config(&values), labels, how: how(matches, server_side, dry) };
    let done = connection.runtime.block_on(helm::upgrade(&connection.cluster, wish));
    done.map_err(|error| {
        if let Some(why) = broken_by(&error) {
            output::remark(&format!("level=WARN msg=\"upgrade failed\" name={name} error={why:?}"));
        }
        error.into()
    })
}

/// What went wrong with the objects of a release, where it came so far.
fn broken_by(error: &helm::HelmError) -> Option<String> {
    use helm::HelmError::{FindSuccess, Objects, RunHook, Undo, Undone, Wait};
    match error {
        Objects(_) | Wait(_) | RunHook { .. } => Some(error.to_string()),
        FindSuccess(why) | Undo { why, .. } | Undone { why, .. } => Some(why.clone()),
        _ => None,
    }
}

/// The defaults of the revision in force stand in for the new chart's.
fn reuse_defaults(chart: &mut chart::chart::Chart, current: &Release) {
    if let Some(defaults) = current.chart.get("values").and_then(serde_json::Value::as_object) {
        chart.values = values::with_floats(defaults.clone());
    }
}

/// The longest description of a rollback.
const DESCRIPTION: usize = 256;

pub(super) fn rollback(matches: &Matches) -> Done {
    check_flags(matches)?;
    let revision = match matches.arguments.get(1) {
        None => 0,
        Some(text) => text.parse().map_err(|_| {
            Fault::new(format!("could not convert revision to a number: strconv.Atoi: parsing {text:?}: invalid syntax"))
        })?,
    };
    let length = matches.text("description").chars().count();
    if length > DESCRIPTION {
        return Err(Fault::new(format!("description must be {DESCRIPTION} characters or less, got {length}")));
    }
    let dry = dry_run(matches, false)?;
    let connection = connect(matches)?;
    connection.check()?;
    check_name_as(matches.argument(0), "prepareRollback: Release name is invalid")?;
    let wish = Rollback { revision, how: how(matches, side(matches)?, dry) };
    connection.runtime.block_on(helm::rollback(&connection.cluster, matches.argument(0), &wish))?;
    output::line("Rollback was a success! Happy Helming!");
    Ok(())
}

pub(super) fn uninstall(matches: &Matches) -> Done {
    let propagation = match matches.text("cascade") {
        "background" => "Background",
        "foreground" => "Foreground",
        "orphan" => "Orphan",
        other => {
            let text = format!("invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\"");
            return Err(Fault::new(text));
        }
    };
    let connection = connect(matches)?;
    let dry = matches.flag("dry-run");
    let wish = Uninstall {
        keep_history: matches.flag("keep-history"),
        dry,
        no_hooks: matches.flag("no-hooks"),
        wait: waits(matches),
        propagation,
        timeout: timeout(matches),
        description: matches.text("description").to_owned(),
    };
    for name in &matches.arguments {
        connection.check()?;
        check_name_as(name, if dry { "releaseContent: Release name is invalid" } else { "uninstall: Release name is invalid" })?;
        match connection.runtime.block_on(helm::uninstall(&connection.cluster, name, &wish)) {
            Ok(taken) => {
                for (kind, at, namespace) in taken.foreign {
                    let text = "skipping delete of resource not owned by this release";
                    output::remark(&format!(
                        "level=WARN msg={text:?} kind={kind} name={at} namespace={namespace} release={name}"
                    ));
                }
                if !taken.kept.is_empty() {
                    output::line(&taken.kept);
                }
            }
            Err(helm::HelmError::FindRelease) if matches.flag("ignore-not-found") => {}
            Err(error @ helm::HelmError::FindRelease) if !dry => {
                return Err(Fault::new(format!("uninstall: Release not loaded: {name}: {error}")));
            }
            Err(error) => return Err(Fault::new(error.to_string())),
        }
        output::line(&format!("release {name:?} uninstalled"));
    }
    Ok(())
}

pub(super) fn test(matches: &Matches) -> Done {
    let connection = connect(matches)?;
    let name = matches.argument(0);
    connection.check()?;
    check_name_as(name, "releaseTest: Release name is invalid")?;
    let wanted: Vec<&str> = matches.list("filter").iter().filter_map(|text| text.strip_prefix("name=")).collect();
    let refused = |text: &'_ String| text.strip_prefix("!name=").or_else(|| text.strip_prefix("! name=")).map(str::to_owned);
    let refused: Vec<String> = matches.list("filter").iter().filter_map(refused).collect();
    let chosen = |hook: &Hook| !refused.contains(&hook.name) && (wanted.is_empty() || wanted.contains(&hook.name.as_str()));
    let run = helm::run_tests(&connection.cluster, name, timeout(matches), &chosen);
    let tested = connection.runtime.block_on(run)?;
    report::print(matches, &tested.release, true)?;
    if matches.flag("logs") {
        output::line("");
        let mut pods: Vec<&Hook> = tested.release.hooks.iter().filter(|hook| hook.kind == "Pod" && chosen(hook)).collect();
        pods.retain(|hook| hook.events.contains(&HookEvent::Test));
        pods.sort_by_key(|hook| hook.weight);
        for pod in pods {
            let logs = connection.runtime.block_on(helm::logs(&connection.cluster, &pod.name));
            for (container, log) in logs? {
                output::line(&format!("POD LOGS: {} ({container})\n{log}", pod.name));
            }
        }
    }
    let cleaned = connection.runtime.block_on(helm::clean_up(&connection.cluster, &tested, timeout(matches)));
    match tested.failure {
        Some(error) => Err(Fault::new(error.to_string())),
        None => Ok(cleaned?),
    }
}

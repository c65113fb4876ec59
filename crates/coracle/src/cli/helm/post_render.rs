//! Post-renderers: plugins of type `postrenderer/v1` that are programs, which get all manifests and give others back.
//! Plugins of other runtimes (WebAssembly) are refused. It never installs plugins.

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use chart::release;
use chart::template::{self, Rendered};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::flags::Matches;
use super::{Fault, settings};
use crate::output;

/// Where a document remembers its template.
const ANNOTATION: &str = "postrenderer.helm.sh/postrender-filename";

/// What `plugin.yaml` says.
#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    runtime: String,
    #[serde(rename = "runtimeConfig", default)]
    config: RuntimeConfig,
}

#[derive(Deserialize, Default)]
struct RuntimeConfig {
    #[serde(rename = "platformCommand", default)]
    commands: Vec<Command>,
}

#[derive(Deserialize)]
struct Command {
    #[serde(default)]
    os: String,
    #[serde(default)]
    arch: String,
    command: String,
    #[serde(default)]
    args: Vec<String>,
}

struct Plugin {
    metadata: Metadata,
    folder: PathBuf,
}

fn find(name: &str) -> Result<Plugin, Fault> {
    for folder in settings::plugin_folders() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        folders.sort();
        for folder in folders {
            let file = folder.join("plugin.yaml");
            let Ok(text) = fs::read(&file) else { continue };
            let read = chart::yaml::read(&text).map_err(|error| error.to_string());
            match read.and_then(|read| serde_json::from_value::<Metadata>(read).map_err(|error| error.to_string())) {
                Ok(metadata) if metadata.name == name && metadata.kind == "postrenderer/v1" => {
                    return Ok(Plugin { metadata, folder });
                }
                Ok(_) => {}
                Err(why) => {
                    let file = file.display();
                    output::remark(&format!(
                        "level=WARN msg=\"failed to load plugin (ignoring)\" plugin_yaml={file} error={why:?}"
                    ));
                }
            }
        }
    }
    let why = format!("plugin: {{Name:{name} Type:postrenderer/v1}} not found");
    Err(Fault::new(format!("invalid argument {name:?} for \"--post-renderer\" flag: {why}")))
}

/// The machine, as Go names it.
fn architecture() -> &'static str {
    match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The command for this machine: the one that names it, else the system's, else the one for all.
fn command_of(commands: &[Command]) -> Option<&Command> {
    let system = |it: &&Command| it.os.eq_ignore_ascii_case(env::consts::OS);
    let exact = |it: &&Command| system(it) && it.arch.eq_ignore_ascii_case(architecture());
    let any = |it: &&Command| it.os.is_empty() && it.arch.is_empty();
    let all = || commands.iter();
    all().find(exact).or_else(|| all().find(|it| system(it) && it.arch.is_empty())).or_else(|| all().find(any))
}

/// `$NAME` and `${NAME}` as they stand in the environment.
fn expand(text: &str, variables: &HashMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, left) = braced.unwrap_or_else(|| {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
            after.split_at(end)
        });
        out.push_str(variables.get(name).map_or("", String::as_str));
        rest = left;
    }
    out + rest
}

impl Plugin {
    #[expect(clippy::disallowed_methods, reason = "a post-renderer is a program of the user's")]
    fn run(&self, extra: &[String], manifests: &str) -> Result<String, Fault> {
        let name = &self.metadata.name;
        let failed = |why: String| {
            Fault::new(format!("error while running post render on files: failed to invoke post-renderer plugin {name:?}: {why}"))
        };
        if !matches!(self.metadata.runtime.as_str(), "" | "subprocess") {
            return Err(failed(format!("unsupported plugin runtime type: {:?}", self.metadata.runtime)));
        }
        let none = || failed("failed to prepare plugin command: no plugin command is applicable".to_owned());
        let wanted = command_of(&self.metadata.config.commands).ok_or_else(none)?;
        let mut variables: HashMap<String, String> = env::vars().collect();
        variables.insert("HELM_PLUGIN_NAME".to_owned(), name.clone());
        variables.insert("HELM_PLUGIN_DIR".to_owned(), self.folder.display().to_string());
        let mut words = wanted.command.split(' ').chain(wanted.args.iter().map(String::as_str));
        let program = words.next().map(|word| expand(word, &variables)).filter(|word| !word.is_empty()).ok_or_else(none)?;
        let mut command = std::process::Command::new(program);
        command.args(words.map(|word| expand(word, &variables))).args(extra).envs(&variables);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let input = child.stdin.take();
        let given = manifests.to_owned();
        // It may answer before it has read all.
        let writer = std::thread::spawn(move || input.map(|mut input| input.write_all(given.as_bytes())));
        let done = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
        // One that does not read to the end is free to.
        drop(writer.join());
        if !done.status.success() {
            return Err(failed(format!("plugin {name:?} exited with error")));
        }
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        if text.trim().is_empty() {
            return Err(Fault::new(format!(
                "error while running post render on files: post-renderer {name:?} produced empty output"
            )));
        }
        Ok(text)
    }
}

/// All documents as one stream, each with the name of its template.
fn merged(rendered: &Rendered) -> Result<String, Fault> {
    let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    rendered.hooks.iter().for_each(|hook| files.entry(&hook.path).or_default().push(&hook.manifest));
    rendered.manifests.iter().for_each(|it| files.entry(&it.path).or_default().push(&it.content));
    let mut documents = Vec::new();
    for (path, texts) in files {
        for text in texts {
            let failed = |why: String| Fault::new(format!("error merging manifests: parsing {path}: {why}"));
            let mut object = chart::yaml::read(text.as_bytes()).map_err(|error| failed(error.to_string()))?;
            if object.is_null() {
                continue;
            }
            if object["metadata"]["annotations"].is_null() {
                object["metadata"]["annotations"] = json!({});
            }
            object["metadata"]["annotations"][ANNOTATION] = json!(path);
            documents.push(chart::yaml::to_yaml(&object).map_err(|error| failed(error.to_string()))?);
        }
    }
    Ok(documents.join("---\n"))
}

/// The documents of a stream by the templates that they name.
fn parted(text: &str) -> Result<BTreeMap<String, String>, Fault> {
    let failed = |why: String| Fault::new(format!("error while parsing post rendered output: {why}"));
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for (place, document) in release::documents(text).iter().enumerate() {
        let mut object = chart::yaml::read(document.as_bytes()).map_err(|error| failed(error.to_string()))?;
        if object.is_null() {
            continue;
        }
        let annotations = object.pointer_mut("/metadata/annotations").and_then(Json::as_object_mut);
        let path = annotations.and_then(|annotations| annotations.shift_remove(ANNOTATION));
        let path = path.and_then(|path| path.as_str().map(str::to_owned));
        let path = path.unwrap_or_else(|| format!("generated-by-postrender-{place}.yaml"));
        if object.pointer("/metadata/annotations").and_then(Json::as_object).is_some_and(serde_json::Map::is_empty)
            && let Some(metadata) = object["metadata"].as_object_mut()
        {
            metadata.shift_remove("annotations");
        }
        let text = chart::yaml::to_yaml(&object).map_err(|error| failed(error.to_string()))?;
        let file = files.entry(path).or_default();
        if !file.is_empty() {
            file.push_str("---\n");
        }
        file.push_str(&text);
    }
    Ok(files)
}

/// Has the plugin that the flags name work on what was rendered.
pub(super) fn apply(matches: &Matches, rendered: &mut Rendered) -> Result<(), Fault> {
    let name = matches.text("post-renderer");
    if name.is_empty() {
        return Ok(());
    }
    let plugin = find(name)?;
    let text = plugin.run(matches.list("post-renderer-args"), &merged(rendered)?)?;
    let sorted = release::sort(&parted(&text)?)?;
    let before: String = rendered.manifests.iter().map(|it| template::with_source(&it.path, &it.content)).collect();
    let crds = rendered.manifest.strip_suffix(&before).unwrap_or_default().to_owned();
    let after = sorted.manifests.iter().map(|it| template::with_source(&it.path, &it.content));
    rendered.manifest = crds + &after.collect::<String>();
    rendered.hooks = sorted.hooks;
    rendered.manifests = sorted.manifests;
    Ok(())
}

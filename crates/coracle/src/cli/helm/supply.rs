//! `helm dependency update` and `build`: what a chart needs, chosen, written down in its lock, and fetched into its folder.
//! It never looks into values.

mod lock;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chart::chart::{Chart, Dependency, Lock};
use chart::load::archive;
use chart::semver::{Constraint, Version};
use sha2::{Digest as _, Sha256};

use super::chart_files::{self, go_error};
use super::download::{self, same};
use super::fetch::Access;
use super::flags::{Flag, Kind, Matches, of, switch};
use super::repositories::{self, Entry, Index};
use super::{Done, Fault, atomic, dependency, provenance, registry, repo, settings};
use crate::output;
use lock::{check_here, digest, hashed};

/// Flags of both commands.
pub(super) const FLAGS: &[Flag] = &[
    switch("verify", "verify the packages against signatures"),
    of(Kind::Text, "keyring", "keyring containing public keys"),
    switch("skip-refresh", "do not refresh the local repository cache"),
];

/// Out of step with what is asked for.
const LOCK_OLD: &str = "the lock file (Chart.lock) is out of sync with the dependencies file (Chart.yaml). Please update the dependencies with 'helm dependency update'";
const LOCK_OLD_V1: &str = "the lock file (requirements.lock) is out of sync with the dependencies file (requirements.yaml). Please update the dependencies";

/// Whether somebody has to have signed what is fetched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    Unasked,
    WhereThere,
    Always,
}

pub(super) fn update(matches: &Matches) -> Done {
    asked(matches, Proof::Always)?.update()
}

pub(super) fn build(matches: &Matches) -> Done {
    asked(matches, Proof::WhereThere)?.build()
}

/// The folder that a command line names.
fn asked(matches: &Matches, proof: Proof) -> Result<Supply<'_>, Fault> {
    let folder = Path::new(matches.arguments.first().map_or(".", String::as_str));
    let proof = if matches.flag("verify") { proof } else { Proof::Unasked };
    Ok(Supply { proof, ..Supply::new(matches, folder, false)? })
}

/// One chart's folder, being supplied.
pub(super) struct Supply<'m> {
    matches: &'m Matches,
    folder: PathBuf,
    chart: Chart,
    known: Vec<Entry>,
    cache: PathBuf,
    quiet: bool,
    proof: Proof,
}

fn clean(path: &Path) -> PathBuf {
    let cleaned: PathBuf = path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect();
    if cleaned.as_os_str().is_empty() { PathBuf::from(".") } else { cleaned }
}

impl<'m> Supply<'m> {
    pub(super) fn new(matches: &'m Matches, folder: &Path, quiet: bool) -> Result<Self, Fault> {
        let folder = clean(folder);
        match fs::metadata(&folder) {
            Err(error) => {
                let why = go_error("stat", &folder, &error);
                return Err(Fault::new(format!("could not find {}: {why}", folder.display())));
            }
            Ok(about) if !about.is_dir() => return Err(Fault::new("only unpacked charts can be updated")),
            Ok(_) => {}
        }
        let chart = dependency::load(&folder)?;
        let known = repositories::known(&settings::repository_config(matches))?;
        Ok(Self { matches, folder, chart, known, cache: settings::repository_cache(matches), quiet, proof: Proof::Unasked })
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            output::line(text);
        }
    }

    /// Chooses the newest that suit, fetches them, and writes them down.
    pub(super) fn update(&self) -> Done {
        let mut wanted = self.chart.metadata.dependencies.clone();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut names = self.name_repositories(&mut wanted)?;
        self.learn_others(&mut names, &wanted)?;
        self.refresh()?;
        let mut locked = self.choose(&wanted, &names)?;
        self.fetch_all(&mut locked)?;
        let digest = digest(&wanted, &locked);
        if self.chart.lock.as_ref().is_some_and(|lock| lock.digest == digest) {
            return Ok(());
        }
        let lock = Lock { generated: jiff::Timestamp::now().to_string(), digest, dependencies: locked };
        let name = if self.chart.metadata.api_version == "v1" { "requirements.lock" } else { "Chart.lock" };
        let path = self.folder.join(name);
        if let Ok(target) = fs::read_link(&path) {
            return Err(Fault::new(format!("the {name} file is a symlink to {:?}", target.display().to_string())));
        }
        atomic::write(&path, lock.to_yaml().as_bytes(), 0o644)
    }

    /// Fetches what the lock says.
    fn build(&self) -> Done {
        let Some(lock) = &self.chart.lock else { return self.update() };
        let mut wanted = self.chart.metadata.dependencies.clone();
        let first = self.chart.metadata.api_version == "v1";
        let old_digest = hashed(&serde_json::json!({"dependencies": wanted}).to_string());
        self.name_repositories(&mut wanted)?;
        if digest(&wanted, &lock.dependencies) != lock.digest {
            if !first {
                return Err(Fault::new(LOCK_OLD));
            }
            output::remark("warning: a valid Helm v3 hash was not found. Checking against Helm v2 hash...");
            if old_digest != lock.digest {
                return Err(Fault::new(LOCK_OLD_V1));
            }
        }
        let remote = |it: &&Dependency| {
            !(it.repository.is_empty() || it.repository.starts_with("file://") || it.repository.starts_with("oci://"))
        };
        let is_known = |it: &&Dependency| self.known.iter().any(|entry| same(&entry.url, &it.repository));
        let missing: Vec<&str> =
            lock.dependencies.iter().filter(remote).filter(|it| !is_known(it)).map(|it| it.repository.as_str()).collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            return Err(Fault::new(format!(
                "no repository definition for {missing}. Please add the missing repos via 'helm repo add'"
            )));
        }
        self.refresh()?;
        self.fetch_all(&mut lock.dependencies.clone())
    }

    /// Which repository each dependency comes from; aliases become addresses.
    fn name_repositories(&self, wanted: &mut [Dependency]) -> Result<BTreeMap<String, String>, Fault> {
        let mut names = BTreeMap::new();
        let mut missing = Vec::new();
        for it in wanted.iter_mut().filter(|it| !it.repository.is_empty()) {
            if it.repository.starts_with("file://") {
                self.local(&it.repository)?;
                names.insert(it.name.clone(), it.repository.clone());
                continue;
            }
            if it.repository.starts_with("oci://") {
                names.insert(it.name.clone(), it.repository.clone());
                continue;
            }
            let alias = it.repository.strip_prefix('@').or_else(|| it.repository.strip_prefix("alias:"));
            let found = self.known.iter().find(|entry| match alias {
                Some(alias) => entry.name == alias,
                None => same(&entry.url, &it.repository),
            });
            match found {
                Some(entry) => {
                    if alias.is_some() {
                        it.repository.clone_from(&entry.url);
                    }
                    names.insert(it.name.clone(), entry.name.clone());
                }
                None if repositories::is_absolute(&it.repository) || it.repository.starts_with('/') => {}
                None => missing.push(it.repository.clone()),
            }
        }
        if missing.is_empty() {
            return Ok(names);
        }
        let mut text = format!("no repository definition for {}. Please add them via 'helm repo add'", missing.join(", "));
        if missing.iter().any(|it| !it.contains("//") && !it.starts_with('@') && !it.starts_with("alias:")) {
            text.push_str(NO_ADDRESS);
        }
        Err(Fault::new(text))
    }

    /// Fetches the indexes of repositories that only this chart names.
    fn learn_others(&self, names: &mut BTreeMap<String, String>, wanted: &[Dependency]) -> Done {
        let mut others: Vec<Entry> = Vec::new();
        for it in wanted.iter().filter(|it| !it.repository.is_empty()) {
            if names.contains_key(&it.name) {
                continue;
            }
            let name = format!("{}{}", repositories::UNMANAGED, hex::encode(Sha256::digest(it.repository.as_bytes())));
            names.insert(it.name.clone(), name.clone());
            others.push(Entry { name, url: it.repository.clone(), ..Entry::default() });
        }
        if self.matches.flag("skip-refresh") || others.is_empty() {
            return Ok(());
        }
        self.say("Getting updates for unmanaged Helm repositories...");
        self.refresh_each(&others)
    }

    fn refresh(&self) -> Done {
        if self.matches.flag("skip-refresh") || self.known.is_empty() {
            return Ok(());
        }
        self.say("Hang tight while we grab the latest from your chart repositories...");
        self.refresh_each(&self.known)?;
        self.say("Update Complete. ⎈Happy Helming!⎈");
        Ok(())
    }

    fn refresh_each(&self, entries: &[Entry]) -> Done {
        let mut once: Vec<Entry> = Vec::new();
        for entry in entries {
            once.retain(|other| other.url.trim_end_matches('/') != entry.url.trim_end_matches('/'));
            once.push(entry.clone());
        }
        once.iter().try_for_each(Entry::check)?;
        repo::refresh_all(&once, &self.cache, None, self.quiet);
        Ok(())
    }

    fn local(&self, repository: &str) -> Result<PathBuf, Fault> {
        let path = repository.strip_prefix("file://").unwrap_or(repository);
        let path = PathBuf::from(archive_path(&self.folder.join(path)));
        match path.try_exists() {
            Ok(true) => Ok(path),
            _ => Err(Fault::new(format!("directory {} not found", path.display()))),
        }
    }

    fn choose(&self, wanted: &[Dependency], names: &BTreeMap<String, String>) -> Result<Vec<Dependency>, Fault> {
        let mut locked = Vec::new();
        let mut missing = Vec::new();
        for it in wanted {
            let constraint = Constraint::parse(&it.version).map_err(|error| {
                Fault::new(format!("dependency {:?} has an invalid version/constraint format: {error}", it.name))
            })?;
            let chosen = if it.repository.is_empty() {
                self.local(&format!("charts/{}", it.name))?;
                Some(it.version.clone())
            } else if it.repository.starts_with("file://") {
                let version = chart_files::load(&self.local(&it.repository)?)?.metadata.version;
                Version::parse(&version).is_ok_and(|version| constraint.check(&version)).then_some(version)
            } else if it.repository.starts_with("oci://") {
                self.choose_of_registry(it, &constraint)?
            } else {
                self.choose_of_index(it, &constraint, names)?
            };
            match chosen {
                Some(version) => {
                    let (name, repository) = (it.name.clone(), it.repository.clone());
                    locked.push(Dependency { name, version, repository, ..Dependency::default() });
                }
                None => missing.push(format!("{:?} (repository {:?}, version {:?})", it.name, it.repository, it.version)),
            }
        }
        if missing.is_empty() {
            return Ok(locked);
        }
        Err(Fault::new(format!(
            "can't get a valid version for {} subchart(s): {}. Make sure a matching chart version exists in the repo, or change the version constraint in Chart.yaml",
            missing.len(),
            missing.join(", ")
        )))
    }

    fn choose_of_index(
        &self,
        it: &Dependency,
        constraint: &Constraint,
        names: &BTreeMap<String, String>,
    ) -> Result<Option<String>, Fault> {
        let Some(repository) = names.get(&it.name) else { return Ok(Some(it.version.clone())) };
        let index = Index::load(&repositories::index_file(&self.cache, repository)).map_err(|fault| {
            Fault::new(format!("no cached repository for {repository} found. (try 'helm repo update'): {}", fault.text))
        })?;
        let offers = index.entries.get(&it.name);
        let offers = offers.ok_or_else(|| Fault::new(format!("{} chart not found in repo {}", it.name, it.repository)))?;
        let suits = |text: &str| Version::parse(text).is_ok_and(|version| constraint.check(&version));
        let found = offers.iter().find(|offer| !offer.urls.is_empty() && suits(&offer.metadata.version));
        Ok(found.map(|offer| offer.metadata.version.clone()))
    }

    fn choose_of_registry(&self, it: &Dependency, constraint: &Constraint) -> Result<Option<String>, Fault> {
        if Version::parse(&it.version).is_ok() {
            return Ok(Some(it.version.clone()));
        }
        let place = format!("{}/{}", it.repository, it.name);
        let tags = registry::tags(self.matches, &place, &Access::of(self.matches)).map_err(|fault| {
            Fault::new(format!("could not retrieve list of tags for repository {}: {}", it.repository, fault.text))
        })?;
        let suits = |tag: &String| Version::parse(tag).is_ok_and(|version| constraint.check(&version));
        Ok(Some(tags.into_iter().find(suits).unwrap_or_else(|| it.version.clone())))
    }

    /// Fetches into a folder beside, and moves from there what is whole.
    fn fetch_all(&self, locked: &mut [Dependency]) -> Done {
        let charts = self.folder.join("charts");
        if charts.exists() && !charts.is_dir() {
            return Err(Fault::new(format!("{:?} is not a directory", charts.display().to_string())));
        }
        fs::create_dir_all(&charts).map_err(|error| Fault::new(go_error("mkdir", &charts, &error)))?;
        let beside = self.folder.join(format!("tmpcharts-{}", std::process::id()));
        fs::create_dir_all(&beside).map_err(|error| Fault::new(go_error("mkdir", &beside, &error)))?;
        let done = self.fetch_into(locked, &charts, &beside).and_then(|()| self.move_in(locked, &beside, &charts));
        let _ = fs::remove_dir_all(&beside);
        done
    }

    fn fetch_into(&self, locked: &mut [Dependency], charts: &Path, beside: &Path) -> Done {
        self.say(&format!("Saving {} charts", locked.len()));
        let mut fetched: Vec<String> = Vec::new();
        for it in locked {
            let done = if it.repository.is_empty() {
                self.say(&format!(
                    "Dependency {} did not declare a repository. Assuming it exists in the charts directory",
                    it.name
                ));
                check_here(it, charts)?
            } else if it.repository.starts_with("file://") {
                self.pack_local(it, beside)
            } else {
                self.fetch(it, beside, &mut fetched)
            };
            done.inspect_err(|fault| self.say(&format!("Save error occurred:  {}", fault.text)))?;
        }
        Ok(())
    }

    fn pack_local(&self, it: &mut Dependency, beside: &Path) -> Done {
        let chart = chart_files::load(&self.local(&it.repository)?)?;
        let name = &it.name;
        let constraint = Constraint::parse(&it.version)
            .map_err(|error| Fault::new(format!("dependency {name} has an invalid version/constraint format: {error}")))?;
        if !constraint.check(&Version::parse(&chart.metadata.version)?) {
            return Err(Fault::new(format!("can't get a valid version for dependency {name}")));
        }
        let target = beside.join(format!("{}-{}.tgz", chart.name(), chart.metadata.version));
        atomic::write(&target, &archive::pack(&chart, jiff::Timestamp::now().as_second())?, 0o644)?;
        it.version.clone_from(&chart.metadata.version);
        Ok(())
    }

    fn fetch(&self, it: &Dependency, beside: &Path, fetched: &mut Vec<String>) -> Done {
        let (address, digest) = self.address_of(it)?;
        if fetched.contains(&address) {
            self.say(&format!("Already downloaded {} from repo {}", it.name, it.repository));
            return Ok(());
        }
        self.say(&format!("Downloading {} from repo {}", it.name, it.repository));
        // Of a registry, faults name the chart without its version.
        let shown = if address.starts_with("oci://") { format!("{}/{}", it.repository, it.name) } else { address.clone() };
        let failed = |fault: Fault| Fault::new(format!("could not download {shown}: {}", fault.text));
        // Names and passwords of the command line are for registries; repositories have their own.
        let access = if address.starts_with("oci://") { Access::of(self.matches) } else { Access::default() };
        let mut source = download::resolve(self.matches, &address, "", access).map_err(failed)?;
        source.expect_digest(&digest);
        let bytes = source.bytes(self.matches).map_err(failed)?;
        match self.proof {
            Proof::Unasked => {}
            Proof::Always => source.verified(self.matches, &bytes).map(|_| ()).map_err(failed)?,
            Proof::WhereThere => match source.proof(self.matches) {
                Ok(proof) => {
                    provenance::verify(self.matches, &bytes, &proof, &source.file_name()?).map(|_| ()).map_err(failed)?;
                }
                Err(fault) => self.say(&format!("WARNING: Verification not found for {shown}: {}", fault.text)),
            },
        }
        source.to_folder(&bytes, beside).map_err(failed)?;
        fetched.push(address);
        Ok(())
    }

    /// Where a chart is that was chosen, and its digest.
    fn address_of(&self, it: &Dependency) -> Result<(String, String), Fault> {
        if it.repository.starts_with("oci://") {
            return Ok((format!("{}/{}:{}", it.repository, it.name, it.version), String::new()));
        }
        let Some(entry) = self.known.iter().find(|entry| same(&entry.url, &it.repository)) else {
            return download::find_in(&it.repository, &it.name, &it.version, &Access::default()).map_err(|fault| {
                let text = format!("could not find : chart {} not found in {}: {}", it.name, it.repository, fault.text);
                Fault::new(text)
            });
        };
        let index = Index::load(&repositories::index_file(&self.cache, &entry.name))?;
        let offers = index.entries.get(&it.name).ok_or_else(|| Fault::new("could not find : entry not found"))?;
        let fits = |version: &str| match (Version::parse(&it.version), Version::parse(version)) {
            (Ok(one), Ok(other)) => one.precedence(&other).is_eq() && one.metadata == other.metadata,
            _ => it.version == version,
        };
        let found =
            offers.iter().find(|offer| !offer.urls.is_empty() && (it.version.is_empty() || fits(&offer.metadata.version)));
        let found = found.ok_or_else(|| Fault::new("could not find : no matching version"))?;
        Ok((repositories::resolve(&it.repository, &found.urls[0])?, found.digest.clone()))
    }

    /// Moves what was fetched to its place, and takes away archives that are not asked for.
    fn move_in(&self, locked: &[Dependency], from: &Path, to: &Path) -> Done {
        let names = |folder: &Path| -> Vec<std::ffi::OsString> {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten().filter(|entry| !entry.path().is_dir());
            entries.map(|entry| entry.file_name()).collect()
        };
        let (fresh, before) = (names(from), names(to));
        for name in &fresh {
            let path = from.join(name);
            if let Err(fault) = chart_files::load(&path) {
                self.say(&format!("Could not verify {} for moving: {} (Skipping)", path.display(), fault.text));
                continue;
            }
            fs::rename(&path, to.join(name)).map_err(|error| Fault::new(go_error("rename", &path, &error)))?;
        }
        self.say("Deleting outdated charts");
        for name in before.iter().filter(|name| !fresh.contains(name)) {
            let path = to.join(name);
            match chart_files::load(&path) {
                Err(fault) => {
                    self.say(&format!("Could not verify {} for deletion: {} (Skipping)", path.display(), fault.text));
                }
                Ok(chart) if locked.iter().any(|it| it.repository.is_empty() && it.name == chart.name()) => {}
                Ok(_) => fs::remove_file(&path).map_err(|error| Fault::new(go_error("remove", &path, &error)))?,
            }
        }
        Ok(())
    }
}

const NO_ADDRESS: &str = "
Note that repositories must be URLs or aliases. For example, to refer to the \"example\"
repository, use \"https://charts.example.com/\" or \"@example\" instead of
\"example\". Don't forget to add the repo, too ('helm repo add').";

/// A path as Go cleans it.
fn archive_path(path: &Path) -> String {
    let text = path.display().to_string();
    let cleaned = archive::cleaned(&text);
    if text.starts_with('/') { format!("/{}", cleaned.trim_start_matches("../")) } else { cleaned }
}

//! What a crash, a damaged disk and a second process may and may not do.

mod fixture;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::Stdio,
};

use fixture::{Opened, open, put};
use store::{Change, Expect, OpenError, Settings};

/// The environment variable that makes this program the one that is killed.
const CHILD: &str = "STORE_TEST_CHILD";

fn segment(folder: &std::path::Path) -> PathBuf {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<PathBuf> =
        names.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("log-")).collect();
    segments.sort();
    segments.pop().unwrap()
}

/// Writes and says what was acknowledged, until it is killed. Does nothing unless the test below starts it.
#[tokio::test]
#[expect(clippy::print_stdout, reason = "the parent reads what was acknowledged from standard output")]
async fn child_that_writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let store = open(&Settings { checkpoint_bytes: 20_000, ..Settings::new(folder) }).await.unwrap();
    for i in 0..1_000_000_u64 {
        let change = Change { durable: i % 3 != 0, ..put(&format!("/{}", i % 100), &i.to_string(), Expect::Any) };
        let durable = change.durable;
        let revision = store.commit(change).await.unwrap();
        println!("ack {i} {revision} {durable}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9_and_no_revision_is_used_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut highest = 0;
    for round in 0..3 {
        #[expect(clippy::disallowed_methods, reason = "the test kills a process of its own")]
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_writes_until_it_is_killed", "--nocapture"])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut last = std::collections::HashMap::new();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        for (count, line) in lines.filter(|line| line.starts_with("ack ")).enumerate() {
            let words: Vec<&str> = line.split(' ').collect();
            let (i, revision): (u64, u64) = (words[1].parse().unwrap(), words[2].parse().unwrap());
            assert!(revision > highest, "round {round}: revision {revision} was given out before");
            highest = revision;
            if words[3] == "true" {
                last.insert(i % 100, i);
            } else {
                last.remove(&(i % 100));
            }
            if count == 700 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let store = open(&Settings::new(folder.path())).await.unwrap();
        let snapshot = store.snapshot();
        for (key, value) in last {
            let entry = snapshot.get(&format!("/{key}")).unwrap();
            let found: u64 = String::from_utf8_lossy(&entry.value).parse().unwrap();
            assert!(found >= value, "round {round}: /{key} is {found}, {value} was acknowledged");
        }
        highest = highest.max(snapshot.revision());
    }
}

#[tokio::test]
async fn a_torn_end_is_cut_off_and_the_rest_is_there() {
    let opened = Opened::fresh().await;
    opened.store.commit(put("/a", "1", Expect::Absent)).await.unwrap();
    let (path, settings, _folder) = opened.close();
    let mut file = fs::OpenOptions::new().append(true).open(segment(&path)).unwrap();
    file.write_all(b"CRL1 half a frame").unwrap();
    let store = open(&settings).await.unwrap();
    assert_eq!(store.snapshot().len(), 1);
    store.commit(put("/b", "2", Expect::Absent)).await.unwrap();
    drop(store);
    assert_eq!(open(&settings).await.unwrap().snapshot().len(), 2);
}

#[tokio::test]
async fn damage_before_the_end_is_an_error_that_names_the_file_and_the_place() {
    let opened = Opened::fresh().await;
    for key in ["/a", "/b", "/c"] {
        opened.store.commit(put(key, "value", Expect::Absent)).await.unwrap();
    }
    let (path, settings, _folder) = opened.close();
    let path = segment(&path);
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    fs::write(&path, bytes).unwrap();
    match open(&settings).await.map(|_| ()) {
        Err(OpenError::Damaged { path: found, offset: 0, .. }) => assert_eq!(found, path),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_folder_in_use_or_from_a_newer_version_is_refused() {
    let opened = Opened::fresh().await;
    assert!(matches!(open(&opened.settings).await.map(|_| ()), Err(OpenError::InUse(_))));
    let (path, settings, _folder) = opened.close();
    fs::write(path.join("format"), "coracle-store 99\n").unwrap();
    assert!(matches!(open(&settings).await.map(|_| ()), Err(OpenError::Newer { found, .. }) if found == "coracle-store 99"));
}

#[tokio::test]
async fn a_backup_makes_the_same_store_in_a_fresh_folder_and_a_cut_one_is_refused() {
    let opened = Opened::fresh().await;
    for i in 0..50 {
        opened.store.commit(put(&format!("/{i}"), "value", Expect::Absent)).await.unwrap();
    }
    let (backup, fresh) = (opened.folder.path().join("backup"), opened.folder.path().join("fresh"));
    let revision = opened.store.backup(&backup).await.unwrap();
    assert!(opened.store.backup(&backup).await.is_err(), "a backup never overwrites");
    assert_eq!(store::restore(&backup, &fresh, &store::Unsealed).unwrap(), revision);
    let restored = open(&Settings::new(&fresh)).await.unwrap();
    assert_eq!((restored.snapshot().len(), restored.snapshot().revision()), (50, revision));
    let file = fs::read_dir(&backup).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 20]).unwrap();
    assert!(store::restore(&backup, &opened.folder.path().join("other"), &store::Unsealed).is_err());
}

/// Marks what it seals by a letter that can be changed, and opens whatever is marked by one.
struct Marks(std::sync::atomic::AtomicU8);

impl store::Seal for Marks {
    fn seal(&self, _: &str, plain: &[u8]) -> Result<Vec<u8>, store::SealError> {
        Ok([b"<sealed by ", &[self.0.load(std::sync::atomic::Ordering::Relaxed)][..], b">", plain].concat())
    }

    fn open(&self, _: &str, disk: &[u8]) -> Result<Vec<u8>, store::SealError> {
        Ok(disk[13..].to_vec())
    }
}

#[tokio::test]
async fn after_a_rewrite_nothing_on_disk_is_sealed_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let marks = std::sync::Arc::new(Marks(b'a'.into()));
    let open = async || {
        let seal: std::sync::Arc<dyn store::Seal> = marks.clone();
        store::Store::open(Settings::new(folder.path()), fixture::Length, seal).await.unwrap()
    };
    let store = open().await;
    let holds = |mark: &str| {
        let files = fs::read_dir(folder.path()).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap_or_default());
        files.into_iter().any(|bytes| bytes.windows(mark.len()).any(|part| part == mark.as_bytes()))
    };
    for round in [b'b', b'c'] {
        store.commit(put("/a", "one", Expect::Any)).await.unwrap();
        let before = format!("<sealed by {}>", char::from(round - 1));
        assert!(holds(&before));
        marks.0.store(round, std::sync::atomic::Ordering::Relaxed);
        store.commit(put("/b", "two", Expect::Any)).await.unwrap();
        store.rewrite().await.unwrap();
        assert!(!holds(&before), "something is sealed as before");
        store.rewrite().await.unwrap();
    }
    drop(store);
    let store = open().await;
    assert_eq!((store.snapshot().len(), store.snapshot().revision()), (2, 4));
}

#[tokio::test]
async fn an_idle_store_writes_nothing_and_heartbeats_write_nothing_either() {
    let opened = Opened::fresh().await;
    let beat = || Change { durable: false, ..put("/lease", "x", Expect::Any) };
    opened.store.commit(beat()).await.unwrap();
    let length = || fs::metadata(segment(&opened.settings.folder)).unwrap().len();
    let before = length();
    for _ in 0..100 {
        opened.store.commit(beat()).await.unwrap();
    }
    assert_eq!(length(), before);
}

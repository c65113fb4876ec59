//! A log file and those that it was before: written at its end, renamed when it is long, the oldest removed.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{LogFiles, line};

/// The open file of one container.
#[derive(Debug)]
pub(super) struct LogFile {
    files: LogFiles,
    open: Option<(File, u64)>,
    dropped: u64,
    /// The second of the last rotation, and how many were in it.
    rotated: (u64, u32),
}

impl LogFile {
    /// Opens nothing yet: a disk that is full now may have room when the first line comes.
    pub fn new(files: LogFiles) -> Self {
        Self { files, open: None, dropped: 0, rotated: (0, 0) }
    }

    /// How many lines were lost to the disk.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Makes the file, so that readers find it before the first line.
    pub fn make(&mut self) {
        let _ = self.current();
    }

    /// Adds whole lines. What the disk does not take is counted and gone; no half line is left.
    pub fn add(&mut self, text: &[u8], lines: u64) {
        if let Err(error) = self.write(text) {
            if self.dropped == 0 {
                tracing::warn!(path = %self.files.path.display(), %error, "log lines are dropped");
            }
            self.dropped += lines;
            self.open = None;
        }
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let length = self.current()?.1;
        if length > 0 && length + u64::try_from(text.len()).unwrap_or_default() > self.files.bytes_max {
            self.open = None;
            self.rotate()?;
        }
        let (file, length) = self.current()?;
        if let Err(error) = file.write_all(text) {
            let _ = file.set_len(*length);
            return Err(error);
        }
        *length += u64::try_from(text.len()).unwrap_or_default();
        Ok(())
    }

    fn current(&mut self) -> io::Result<&mut (File, u64)> {
        if self.open.is_none() {
            if let Some(folder) = self.files.path.parent() {
                fs::create_dir_all(folder)?;
            }
            let file = File::options().create(true).append(true).open(&self.files.path)?;
            let length = file.metadata()?.len();
            self.open = Some((file, length));
        }
        self.open.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (year, month, day) = line::date(seconds / 86_400);
        let second = seconds % 86_400;
        let stamp = format!("{year:04}{month:02}{day:02}-{:02}{:02}{:02}", second / 3600, second / 60 % 60, second % 60);
        // Names must sort by age also within a second.
        let mut count = if self.rotated.0 == seconds { self.rotated.1 + 1 } else { 0 };
        let name = |count| if count == 0 { stamp.clone() } else { format!("{stamp}-{count:06}") };
        while with_suffix(&self.files.path, &name(count)).exists() {
            count += 1;
        }
        self.rotated = (seconds, count);
        let target = with_suffix(&self.files.path, &name(count));
        fs::rename(&self.files.path, target)?;
        let mut old = rotated(&self.files.path);
        old.sort();
        let keep = usize::try_from(self.files.files_max.max(1) - 1).unwrap_or_default();
        for path in old.iter().take(old.len().saturating_sub(keep)) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// The files that a log was before.
fn rotated(path: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else { return Vec::new() };
    let is_old = |found: &PathBuf| {
        found.file_name().and_then(|found| found.to_str()?.strip_prefix(name)).is_some_and(|rest| rest.starts_with('.'))
    };
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).filter(is_old).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_renamed_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = LogFiles { path: folder.path().join("a/0.log"), bytes_max: 20, files_max: 3 };
        let mut log = LogFile::new(files.clone());
        for number in 0..10 {
            log.add(format!("line {number:04}\n").as_bytes(), 1);
        }
        assert_eq!(rotated(&files.path).len(), 2);
        assert_eq!(fs::read_to_string(&files.path).expect("read"), "line 0008\nline 0009\n");
        let all: String = rotated(&files.path).iter().map(|path| fs::read_to_string(path).expect("read")).collect();
        assert!(all.contains("line 0007") && !all.contains("line 0001"));
        assert_eq!(log.dropped(), 0);
    }

    #[test]
    fn lines_that_a_full_disk_does_not_take_are_counted() {
        let files = LogFiles { path: "/dev/full".into(), bytes_max: 1000, files_max: 2 };
        let mut log = LogFile::new(files);
        log.add(b"one\ntwo\n", 2);
        log.add(b"three\n", 1);
        assert_eq!(log.dropped(), 3);
    }
}

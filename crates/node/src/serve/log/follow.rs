//! Reads a log from where it is wanted, and goes on as it grows until its container has ended. A file that is rotated away is read to its end.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use runtime::container::Container;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::filter::Filter;

const BUFFER: usize = 64 << 10;

/// Sends the log; ends when there is no more, or nobody listens.
pub(super) async fn send(
    path: PathBuf,
    tail: Option<usize>,
    filter: Filter,
    running: Option<Container>,
    sender: mpsc::Sender<Bytes>,
) {
    let mut log = Log { filter, rest: Vec::new(), sender };
    // The watch begins before the first read, so that nothing is missed between.
    let watch = running.is_some().then(|| Watch::new(&path)).and_then(Result::ok);
    let Ok(mut file) = log.begin(&path, tail).await else { return };
    let (Some(running), Some(mut watch)) = (running, watch) else { return };
    let mut ended = false;
    loop {
        if log.drain(&mut file).await.is_err() {
            return;
        }
        let moved = std::fs::metadata(&path).is_ok_and(|now| file.metadata().is_ok_and(|own| own.ino() != now.ino()));
        if moved && let Ok(next) = File::open(&path) {
            file = next;
            continue;
        }
        if ended {
            return;
        }
        tokio::select! {
            _ = running.wait() => ended = true,
            () = log.sender.closed() => return,
            woken = watch.wait() => if woken.is_err() { return },
        }
    }
}

/// Nobody wants more.
struct Enough;

struct Log {
    filter: Filter,
    /// The beginning of a line that is not whole yet.
    rest: Vec<u8>,
    sender: mpsc::Sender<Bytes>,
}

impl Log {
    /// Sends what is there, but for the current file, which is returned at the place where reading goes on.
    async fn begin(&mut self, path: &Path, tail: Option<usize>) -> Result<File, Enough> {
        let files = super::files(path);
        let (first, offset) = match tail {
            Some(lines) => start_of_tail(&files, lines),
            None => (0, 0),
        };
        let mut last = None;
        for (at, file) in files.iter().enumerate().skip(first) {
            let Ok(mut file) = File::open(file) else { continue };
            if at == first && file.seek(SeekFrom::Start(offset)).is_err() {
                return Err(Enough);
            }
            self.drain(&mut file).await?;
            last = Some(file);
        }
        last.ok_or(Enough)
    }

    /// Sends all that can be read now.
    async fn drain(&mut self, file: &mut File) -> Result<(), Enough> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = file.read(&mut buffer).map_err(|_| Enough)?;
            if count == 0 {
                return Ok(());
            }
            self.rest.extend_from_slice(&buffer[..count]);
            let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { continue };
            let whole: Vec<u8> = self.rest.drain(..=end).collect();
            let mut wanted = Vec::with_capacity(whole.len());
            for line in whole[..end].split(|byte| *byte == b'\n') {
                self.filter.take(line, &mut wanted);
            }
            if !wanted.is_empty() {
                self.sender.send(wanted.into()).await.map_err(|_| Enough)?;
            }
            if self.filter.is_full() {
                return Err(Enough);
            }
        }
    }
}

/// The file and the place in it where the last lines begin. Parts of a line count as one.
fn start_of_tail(files: &[PathBuf], lines: usize) -> (usize, u64) {
    let last = files.len() - 1;
    if lines == 0 {
        return (last, std::fs::metadata(&files[last]).map_or(0, |meta| meta.len()));
    }
    let mut left = lines;
    for (at, path) in files.iter().enumerate().rev() {
        let Ok(bytes) = std::fs::read(path) else { continue };
        let mut end = bytes.len();
        while end > 0 {
            let start = bytes[..end - 1].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            if is_whole(&bytes[start..end]) {
                if left == 0 {
                    return (at, end as u64);
                }
                left -= 1;
            }
            end = start;
        }
    }
    (0, 0)
}

/// Whether a line of the file ends a line of the log.
fn is_whole(line: &[u8]) -> bool {
    line.splitn(4, |byte| *byte == b' ').nth(2) != Some(b"P")
}

/// Wakes when something in the folder of the log changes.
struct Watch(AsyncFd<OwnedFd>);

impl Watch {
    fn new(path: &Path) -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        inotify::add_watch(&fd, folder, WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO)?;
        #[expect(deprecated, reason = "an owned descriptor stays the same and open, which is all that the sound way asks")]
        Ok(Self(AsyncFd::new(fd)?))
    }

    async fn wait(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.0.readable_mut().await?;
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let taken = ready.try_io(|fd| {
                let mut reader = inotify::Reader::new(fd.get_ref(), &mut buffer);
                reader.next().map(drop).map_err(io::Error::from)
            });
            match taken {
                Ok(result) => return result,
                Err(_) => continue,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String {
        format!("2026-01-01T00:00:00.000000000Z stdout F {text}\n")
    }

    async fn read(path: &Path, tail: Option<usize>) -> String {
        let (sender, mut receiver) = mpsc::channel(16);
        tokio::spawn(send(path.to_owned(), tail, Filter::default(), None, sender));
        let mut all = Vec::new();
        while let Some(piece) = receiver.recv().await {
            all.extend_from_slice(&piece);
        }
        String::from_utf8(all).unwrap()
    }

    #[tokio::test]
    async fn the_last_lines_reach_back_into_rotated_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        std::fs::write(dir.path().join("0.log.20260101-000000"), line("a") + &line("b")).unwrap();
        std::fs::write(&path, line("c") + &line("d")).unwrap();
        for (tail, expected) in
            [(None, "a\nb\nc\nd\n"), (Some(0), ""), (Some(1), "d\n"), (Some(3), "b\nc\nd\n"), (Some(9), "a\nb\nc\nd\n")]
        {
            assert_eq!(read(&path, tail).await, expected, "{tail:?}");
        }
    }

    #[tokio::test]
    async fn a_watch_wakes_when_the_file_grows() {
        use std::io::Write as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        std::fs::write(&path, "").unwrap();
        let mut watch = Watch::new(&path).unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"x").unwrap();
        tokio::time::timeout(std::time::Duration::from_secs(5), watch.wait()).await.unwrap().unwrap();
    }
}

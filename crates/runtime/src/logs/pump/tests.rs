use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _};

use super::*;

struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["stdout", "stderr"] {
            nix::unistd::mkfifo(&folder.path().join(name), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        }
        Self { folder }
    }

    fn pump(&self) -> Arc<Pump> {
        Pump::new(LogFiles { path: self.folder.path().join("log"), bytes_max: 1 << 30, files_max: 3 })
    }

    /// The container's end: it holds both directions.
    fn writer(&self, name: &str) -> fs::File {
        fs::File::options()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(self.folder.path().join(name))
            .expect("opened")
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("log")).expect("a log");
        text.lines().map(|line| line.split_once(' ').expect("a time").1.to_owned()).collect()
    }
}

#[tokio::test]
async fn lines_flow_to_the_file_and_to_listeners() {
    let fixture = Fixture::new();
    let pump = fixture.pump();
    let ends = Pump::open(fixture.folder.path()).expect("opened");
    let (mut out, mut error) = (fixture.writer("stdout"), fixture.writer("stderr"));
    let mut listener = pump.listen(Stream::Output);
    pump.flow(ends).expect("flows");
    out.write_all(b"prompt> ").expect("written");
    assert_eq!(listener.recv().await.as_deref(), Some(&b"prompt> "[..]));
    out.write_all(b"one\n").expect("written");
    assert_eq!(listener.recv().await.as_deref(), Some(&b"one\n"[..]));
    error.write_all(b"bad").expect("written");
    drop((out, error));
    pump.finish().await;
    assert_eq!(listener.recv().await, None);
    let mut lines = fixture.lines();
    lines.sort();
    assert_eq!(lines, ["stderr P bad", "stdout F prompt> one"], "a line that never ended stays a part");
}

#[tokio::test]
async fn what_is_not_a_whole_line_stays_in_the_pipe_for_the_next_agent() {
    let fixture = Fixture::new();
    let mut out = fixture.writer("stdout");
    let _error = fixture.writer("stderr");
    let ends = Pump::open(fixture.folder.path()).expect("opened");
    let first = fixture.pump();
    let mut listener = first.listen(Stream::Output);
    first.flow(ends).expect("flows");
    out.write_all(b"whole\nhal").expect("written");
    listener.recv().await.expect("told");
    // The first agent dies here; the container holds the pipe.
    let tasks = std::mem::take(&mut *first.tasks.lock().expect("no panic"));
    for task in tasks {
        task.abort();
        let _ = task.await;
    }
    out.write_all(b"f\nafter\n").expect("written");
    let second = fixture.pump();
    second.flow(Pump::open(fixture.folder.path()).expect("opened")).expect("flows");
    second.finish().await;
    assert_eq!(fixture.lines(), ["stdout F whole", "stdout F half", "stdout F after"]);
}

#[tokio::test]
async fn a_flood_arrives_complete_and_in_order() {
    let fixture = Fixture::new();
    let pump = fixture.pump();
    let ends = Pump::open(fixture.folder.path()).expect("opened");
    let out = fixture.writer("stdout");
    let _error = fixture.writer("stderr");
    pump.flow(ends).expect("flows");
    rustix::io::ioctl_fionbio(&out, false).expect("blocking");
    let writer = tokio::task::spawn_blocking(move || {
        let mut out = io::BufWriter::new(out);
        for number in 0..50_000 {
            writeln!(out, "line {number}").expect("written");
        }
        out.flush().expect("written");
    });
    writer.await.expect("done");
    pump.finish().await;
    let lines = fixture.lines();
    assert_eq!(lines.len(), 50_000);
    assert!(lines.iter().enumerate().all(|(number, line)| *line == format!("stdout F line {number}")));
}

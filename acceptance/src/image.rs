//! The image that tests run: one static busybox, in the form of `docker save`.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};

/// The name of the image.
pub const BUSYBOX: &str = "coracle.dev/busybox:test";

/// Where Debian's package `busybox-static` puts the program.
const PROGRAM: &str = "/bin/busybox";

/// Commands that pods of tests use, and `kubectl cp` (which needs tar).
const APPLETS: &[&str] = &[
    "cat", "chmod", "cp", "date", "dd", "echo", "env", "false", "grep", "head", "hostname", "httpd", "id", "kill", "ls", "mkdir",
    "mv", "nc", "nslookup", "ps", "rm", "seq", "sh", "sleep", "stty", "tail", "tar", "test", "timeout", "touch", "trap", "true",
    "tty", "wc", "wget",
];

/// Writes the archive.
///
/// # Errors
/// When busybox is not installed, or the file cannot be written.
pub fn busybox_archive(path: &Path) -> anyhow::Result<()> {
    let program = fs::read(PROGRAM).with_context(|| format!("cannot read {PROGRAM}: install the package busybox-static"))?;
    ensure!(program.starts_with(b"\x7fELF"), "{PROGRAM} is no program: install the package busybox-static");
    let layer = layer(&program)?;
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", hex::encode(Sha256::digest(&layer)))]},
    })
    .to_string();
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [BUSYBOX], "Layers": ["layer.tar"]}]).to_string();
    let mut archive = tar::Builder::new(fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?);
    for (name, bytes) in
        [("layer.tar", layer.as_slice()), ("config.json", config.as_bytes()), ("manifest.json", manifest.as_bytes())]
    {
        append(&mut archive, name, bytes, 0o644)?;
    }
    archive.finish().context("cannot finish the archive")
}

fn layer(program: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut layer = tar::Builder::new(Vec::new());
    for folder in ["bin/", "etc/", "tmp/", "root/", "var/"] {
        let mut header = header(0, if folder == "tmp/" { 0o1777 } else { 0o755 });
        header.set_entry_type(tar::EntryType::Directory);
        layer.append_data(&mut header, folder, std::io::empty())?;
    }
    append(&mut layer, "bin/busybox", program, 0o755)?;
    for applet in APPLETS {
        let mut header = header(0, 0o777);
        header.set_entry_type(tar::EntryType::Symlink);
        layer.append_link(&mut header, format!("bin/{applet}"), "busybox")?;
    }
    append(&mut layer, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n", 0o644)?;
    append(&mut layer, "etc/group", b"root:x:0:\nnobody:x:65534:\n", 0o644)?;
    layer.into_inner().context("cannot finish the layer")
}

fn append(archive: &mut tar::Builder<impl std::io::Write>, name: &str, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let mut header = header(bytes.len() as u64, mode);
    archive.append_data(&mut header, name, bytes).with_context(|| format!("cannot add {name}"))
}

/// Of root, at the beginning of time, so that the same content gives the same digest.
fn header(size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

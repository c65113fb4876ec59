use std::{
    io::Write as _,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
};

use super::*;

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// One entry of a layer: its kind, its name, and its content or target.
type Item<'a> = (tar::EntryType, &'a str, &'a str);

const FILE: tar::EntryType = tar::EntryType::Regular;
const FOLDER: tar::EntryType = tar::EntryType::Directory;
const LINK: tar::EntryType = tar::EntryType::Symlink;
const HARD: tar::EntryType = tar::EntryType::Link;

fn layer(items: &[Item<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, name, content) in items {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o4755);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1_000_000);
        // Set by hand, since the builder refuses the names that are to be refused here.
        let field = &mut header.as_old_mut().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        let is_link = matches!(*kind, LINK | HARD);
        if is_link {
            header.set_link_name_literal(content).expect("a target");
        }
        let content = if is_link { "" } else { content };
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).expect("added");
    }
    builder.into_inner().expect("ended")
}

fn put(builder: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    builder.append_data(&mut header, name, content).expect("added");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("ended")
}

fn config(layers: &[Vec<u8>]) -> Vec<u8> {
    let ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
    serde_json::to_vec(&serde_json::json!({
        "config": {"Cmd": ["run"], "User": "app"}, "rootfs": {"type": "layers", "diff_ids": ids}
    }))
    .expect("text")
}

/// As `docker save` writes it.
fn saved(tag: &str, layers: &[Vec<u8>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut names = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        let name = format!("{number}/layer.tar");
        put(&mut builder, &name, layer);
        names.push(name);
    }
    put(&mut builder, "config.json", &config(layers));
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [tag], "Layers": names}]);
    put(&mut builder, "manifest.json", manifest.to_string().as_bytes());
    builder.into_inner().expect("ended")
}

/// As an OCI layout, with compressed layers and an index of platforms.
fn layout(name: &str, layers: &[Vec<u8>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut blob = |bytes: &[u8]| {
        let id = digest(bytes);
        put(&mut builder, &format!("blobs/{}", id.replace(':', "/")), bytes);
        id
    };
    let config = blob(&config(layers));
    let layers: Vec<_> = layers
        .iter()
        .map(|layer| zstd::encode_all(&layer[..], 1).expect("packed"))
        .map(|packed| serde_json::json!({"digest": blob(&packed), "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "size": packed.len()}))
        .collect();
    let manifest = blob(serde_json::json!({"config": {"digest": config}, "layers": layers}).to_string().as_bytes());
    let architecture = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let index = blob(
        serde_json::json!({"manifests": [
            {"digest": digest(b"elsewhere"), "platform": {"architecture": "s390x", "os": "linux"}},
            {"digest": manifest, "platform": {"architecture": architecture, "os": "linux"}},
        ]})
        .to_string()
        .as_bytes(),
    );
    let top = serde_json::json!({"manifests": [{
        "digest": index, "mediaType": "application/vnd.oci.image.index.v1+json", "annotations": {"io.containerd.image.name": name}
    }]});
    put(&mut builder, "index.json", top.to_string().as_bytes());
    builder.into_inner().expect("ended")
}

struct Fixture {
    folder: tempfile::TempDir,
    store: ImageStore,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = ImageStore::open(&folder.path().join("store")).expect("opened");
        Self { folder, store }
    }

    async fn load(&self, bytes: &[u8]) -> Result<Vec<Image>, ImageError> {
        let path = self.folder.path().join("archive");
        fs::write(&path, bytes).expect("written");
        self.store.load(&path).await
    }

    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for name in ["images", "layers", "tmp"] {
            for entry in fs::read_dir(self.folder.path().join("store").join(name)).expect("listed") {
                left.push(format!("{name}/{}", entry.expect("an entry").file_name().to_string_lossy()));
            }
        }
        left
    }
}

#[tokio::test]
async fn an_archive_of_either_form_and_packing_is_the_same_image() {
    let layers = [layer(&[(FOLDER, "etc", ""), (FILE, "etc/passwd", "root")]), layer(&[(FILE, "./app/run", "#!")])];
    let plain = saved("app:1", &layers);
    let forms = [
        plain.clone(),
        gzip(&plain),
        zstd::encode_all(&plain[..], 1).expect("packed"),
        layout("docker.io/library/app:1", &layers),
    ];
    let fixture = Fixture::new();
    for bytes in forms {
        let images = fixture.load(&bytes).await.expect("loaded");
        assert_eq!(images.len(), 1);
        assert_eq!(images[0].names, ["docker.io/library/app:1"]);
        assert_eq!(images[0].config.command, ["run"]);
        assert_eq!(fs::read_to_string(images[0].layers[1].join("app/run")).expect("read"), "#!");
    }
    assert_eq!(fixture.store.list().len(), 1);
    let image = fixture.store.find("app:1").expect("found");
    assert_eq!(image.digests.len(), 1);
    for name in [&image.id, &image.digests[0], "docker.io/app:1", &image.id[7..20]] {
        assert_eq!(fixture.store.find(name).as_ref(), Some(&image), "{name}");
    }
    assert!(fixture.store.find("app:2").is_none());
    let file = fs::metadata(image.layers[0].join("etc/passwd")).expect("there");
    assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777, file.mtime()), (7, 8, 0o4755, 1_000_000));
}

#[tokio::test]
async fn whiteouts_take_the_form_of_overlay() {
    let fixture = Fixture::new();
    let items = [
        (FOLDER, "a", ""),
        (FILE, "a/.wh.gone", ""),
        (FOLDER, "b", ""),
        (FILE, "b/.wh..wh..opq", ""),
        (FILE, "b/new", "x"),
        (FILE, ".wh.c", ""),
        (FOLDER, "c", ""),
        (FILE, "c/new", "x"),
        (FILE, "d", "x"),
        (FILE, ".wh.d", ""),
        (HARD, "e", "d"),
        (LINK, "f", "/anywhere"),
    ];
    let image = fixture.load(&saved("app", &[layer(&items)])).await.expect("loaded").remove(0);
    let at = |path: &str| image.layers[0].join(path);
    let gone = fs::symlink_metadata(at("a/gone")).expect("there");
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    for opaque in ["b", "c"] {
        assert_eq!(xattr::get(at(opaque), "trusted.overlay.opaque").expect("read").as_deref(), Some(&b"y"[..]), "{opaque}");
    }
    assert_eq!(fs::read_to_string(at("d")).expect("read"), "x", "it hides what is below, not itself");
    assert_eq!(fs::metadata(at("d")).expect("there").ino(), fs::metadata(at("e")).expect("there").ino());
    assert_eq!(fs::read_link(at("f")).expect("a link"), Path::new("/anywhere"));
}

#[tokio::test]
async fn what_leads_out_of_the_image_is_refused_and_nothing_is_left() {
    let outside = tempfile::tempdir().expect("a folder");
    let target = outside.path().to_str().expect("text");
    fs::write(outside.path().join("secret"), "x").expect("written");
    let secret = format!("{target}/secret");
    for items in [
        vec![(FILE, "../../escaped", "x")],
        vec![(FILE, "a/../../escaped", "x")],
        vec![(HARD, "stolen", "../../secret")],
        vec![(LINK, "a", "b"), (LINK, "b", "a"), (FILE, "a/x", "x")],
        vec![(FILE, "..", "x")],
        vec![(FILE, "a/.wh...", "x")],
    ] {
        let fixture = Fixture::new();
        let error = fixture.load(&saved("bad", &[layer(&items)])).await.expect_err("refused");
        assert!(matches!(error, ImageError::RefuseLayer { .. }), "{items:?}: {error:?}");
        assert!(fixture.left().is_empty(), "{:?}", fixture.left());
    }
    assert_eq!(fs::read_dir(outside.path()).expect("listed").count(), 1);
    // A link to the outside that nobody goes through is just a link.
    let fixture = Fixture::new();
    let items = [(LINK, "out", target), (FILE, "out", "replaced"), (HARD, "stolen", &secret)];
    assert!(matches!(fixture.load(&saved("bad", &[layer(&items)])).await, Err(ImageError::UnpackLayer { .. })));
    fixture.load(&saved("good", &[layer(&items[..2])])).await.expect("loaded");
    assert_eq!(fs::read_to_string(&secret).expect("read"), "x");
}

#[tokio::test]
async fn what_is_written_through_a_link_lands_where_the_image_has_it_and_never_outside() {
    let outside = tempfile::tempdir().expect("a folder");
    let target = outside.path().to_str().expect("text");
    let inside = target.trim_start_matches('/');
    let base = [
        (FOLDER, "usr", ""),
        (FOLDER, "usr/lib", ""),
        (LINK, "lib", "usr/lib"),
        (LINK, "up", "../../usr/./lib/.."),
        (LINK, "out", target),
        (FOLDER, "tmp", ""),
    ];
    let added = [
        (FILE, "lib/x", "1"),
        (FILE, "lib/deep/y", "2"),
        (FILE, "up/z", "3"),
        (FILE, "out/kept", "4"),
        (FILE, "tmp/t", "5"),
        (LINK, "own", "/own-target"),
        (FILE, "own/o", "6"),
        (HARD, "lib/hard", "lib/x"),
        (FILE, "lib/.wh.gone", ""),
    ];
    let fixture = Fixture::new();
    let image = fixture.load(&saved("app", &[layer(&base), layer(&added)])).await.expect("loaded").remove(0);
    let at = |path: &str| fs::read_to_string(image.layers[1].join(path)).unwrap_or_default();
    let found =
        ["usr/lib/x", "usr/lib/deep/y", "usr/z", &format!("{inside}/kept"), "tmp/t", "own-target/o", "usr/lib/hard"].map(at);
    assert_eq!(found, ["1", "2", "3", "4", "5", "6", "1"]);
    assert!(fs::symlink_metadata(image.layers[1].join("lib")).is_err(), "the link below is not covered");
    assert!(fs::symlink_metadata(image.layers[1].join("usr/lib/gone")).expect("hidden").file_type().is_char_device());
    assert_eq!(fs::metadata(image.layers[1].join("tmp")).expect("there").mode() & 0o7777, 0o4755, "as the folder that it covers");
    assert_eq!(fs::read_dir(outside.path()).expect("listed").count(), 0);
    // Above another image the same archive is another layer, and a folder that it names itself takes a link's place.
    let plain = [(FOLDER, "lib", "")];
    let alone = fixture.load(&saved("plain", &[layer(&plain), layer(&added)])).await.expect("loaded").remove(0);
    assert_eq!(fs::read_to_string(alone.layers[1].join("lib/x")).expect("there"), "1");
    let again = fixture.load(&saved("again", &[layer(&base), layer(&added)])).await.expect("loaded").remove(0);
    assert_eq!(again.layers[1], image.layers[1]);
    let named = [(FOLDER, "lib", ""), (FILE, "lib/x", "1")];
    let covers = fixture.load(&saved("covers", &[layer(&base), layer(&named)])).await.expect("loaded").remove(0);
    assert_eq!(fs::read_to_string(covers.layers[1].join("lib/x")).expect("there"), "1");
}

#[tokio::test]
async fn an_archive_that_ends_early_or_was_changed_is_refused() {
    let layers = [layer(&[(FILE, "a", "some content that is long enough to be changed")])];
    let whole = saved("app", &layers);
    let fixture = Fixture::new();
    for bytes in [&whole[..600], &whole[..whole.len() / 2], &gzip(&whole)[..200], b"", b"no archive at all"] {
        let error = fixture.load(bytes).await.expect_err("refused");
        assert!(matches!(error, ImageError::ReadArchive { .. } | ImageError::ParseArchive { .. }), "{error:?}");
    }
    let mut changed = whole;
    let place = changed.windows(4).position(|four| four == b"some").expect("there");
    changed[place] = b'S';
    assert!(matches!(fixture.load(&changed).await, Err(ImageError::CheckDigest { .. })));
    let mut other = layout("app", &layers);
    let place = other.windows(7).position(|seven| seven == b"\"User\":").expect("there");
    other[place + 1] = b'u';
    assert!(matches!(fixture.load(&other).await, Err(ImageError::CheckDigest { .. })));
    assert!(fixture.left().is_empty(), "{:?}", fixture.left());
    assert!(fixture.store.list().is_empty());
}

#[tokio::test]
async fn a_name_moves_and_what_nobody_uses_is_collected() {
    let fixture = Fixture::new();
    let base = layer(&[(FILE, "base", "x")]);
    let first = fixture.load(&saved("app", &[base.clone(), layer(&[(FILE, "a", "1")])])).await.expect("loaded").remove(0);
    // Another process sees it, and the change.
    let other = ImageStore::open(&fixture.folder.path().join("store")).expect("opened");
    assert_eq!(other.find("app").map(|image| image.id), Some(first.id.clone()));
    let second = fixture.load(&saved("app", &[base, layer(&[(FILE, "a", "2")])])).await.expect("loaded").remove(0);
    assert_eq!(first.layers[0], second.layers[0], "shared");
    assert_eq!(other.find("app").map(|image| image.id), Some(second.id.clone()));
    assert_eq!(other.find(&first.id).map(|image| image.names), Some(vec![]));
    let collected = other.collect(&BTreeSet::from([second.id.clone()])).await.expect("collected");
    assert_eq!((collected.images, collected.layers, collected.bytes), (vec![first.id.clone()], 1, 1));
    assert!(second.layers.iter().all(|layer| layer.is_dir()) && !first.layers[1].exists());
    assert!(matches!(fixture.store.remove(&first.id).await, Err(ImageError::FindImage(_))));
    fixture.store.remove("app").await.expect("removed");
    assert!(fixture.left().is_empty(), "{:?}", fixture.left());
}

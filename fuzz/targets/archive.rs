//! Any bytes as a chart's archive, packed or not: an error, or files that stay inside.
#![no_main]

use std::io::Write as _;

use chart::load;
use flate2::{Compression, write::GzEncoder};
use libfuzzer_sys::fuzz_target;

fn stays_inside(bytes: &[u8]) {
    if let Ok(files) = load::unpack(bytes) {
        for file in &files {
            let inside =
                !file.name.starts_with('/') && file.name.split('/').all(|part| part != "..") && !file.name.contains('\\');
            assert!(inside, "{:?}", file.name);
        }
        let _ = load::load(files);
    }
    let _ = load::load_archive(bytes);
}

fuzz_target!(|bytes: &[u8]| {
    stays_inside(bytes);
    // Most of what is not packed would end at the first byte.
    let mut packed = GzEncoder::new(Vec::new(), Compression::none());
    if packed.write_all(bytes).is_ok()
        && let Ok(packed) = packed.finish()
    {
        stays_inside(&packed);
    }
});

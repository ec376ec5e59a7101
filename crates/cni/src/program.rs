//! Whether a file is this very program: the same file, or a copy of it with the same build ID.
use std::{fs, io, os::unix::fs::FileExt, os::unix::fs::MetadataExt, path::Path};

const SELF: &str = "/proc/self/exe";
const PT_NOTE: u32 = 4;
const NT_GNU_BUILD_ID: u32 = 3;
/// More program headers, or a longer note, than any linker makes: not a program of ours.
const MAX_HEADERS: u16 = 64;
const MAX_NOTE: u64 = 4096;

/// Whether running `file` would run what is running now. What cannot be read is another program.
pub(crate) fn is_this_one(file: &Path) -> bool {
    let (Ok(other), Ok(this)) = (fs::metadata(file), fs::metadata(SELF)) else { return false };
    if (other.dev(), other.ino()) == (this.dev(), this.ino()) {
        return true;
    }
    // A copy is as long as its original: most other files are told from us without opening any.
    other.len() == this.len() && same_build(file)
}

fn same_build(file: &Path) -> bool {
    let id = build_id(Path::new(SELF)).ok().flatten();
    id.is_some() && id == build_id(file).ok().flatten()
}

/// The linker's hash of the program: the `NT_GNU_BUILD_ID` note of a 64-bit little-endian ELF file (elf(5), ld(1) `--build-id`).
fn build_id(file: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = fs::File::open(file)?;
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Ok(None);
    }
    let (table, size, count) = (u64_at(&header, 32), u16_at(&header, 54), u16_at(&header, 56));
    let (Some(table), Some(56), Some(count @ ..=MAX_HEADERS)) = (table, size, count) else { return Ok(None) };
    let mut headers = vec![0; 56 * usize::from(count)];
    file.read_exact_at(&mut headers, table)?;
    for header in headers.chunks_exact(56).filter(|header| u32_at(header, 0) == Some(PT_NOTE)) {
        let (Some(offset), Some(length)) = (u64_at(header, 8), u64_at(header, 32)) else { continue };
        let mut notes = vec![0; usize::try_from(length.min(MAX_NOTE)).unwrap_or(0)];
        file.read_exact_at(&mut notes, offset)?;
        if let Some(id) = find_build_id(&notes) {
            return Ok(Some(id.to_owned()));
        }
    }
    Ok(None)
}

/// Walks a note segment: name size, description size, type, name and description, each of the last two padded to 4 bytes.
fn find_build_id(mut notes: &[u8]) -> Option<&[u8]> {
    loop {
        let (name, description) = (u32_at(notes, 0)?, u32_at(notes, 4)?);
        let (name, description) = (usize::try_from(name).ok()?, usize::try_from(description).ok()?);
        let start = 12_usize.checked_add(name.checked_next_multiple_of(4)?)?;
        let end = start.checked_add(description)?;
        if u32_at(notes, 8)? == NT_GNU_BUILD_ID && notes.get(12..16) == Some(b"GNU\0") && name == 4 {
            return notes.get(start..end).filter(|id| !id.is_empty());
        }
        notes = notes.get(end.checked_next_multiple_of(4)?..)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn note(name: &[u8], kind: u32, description: &[u8]) -> Vec<u8> {
        let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let padded =
            |bytes: &[u8]| [bytes, &[0; 3][..bytes.len().next_multiple_of(4) - bytes.len()]].concat();
        [&size(name)[..], &size(description), &kind.to_le_bytes(), &padded(name), &padded(description)]
            .concat()
    }

    #[test]
    fn the_build_id_is_found_among_other_notes() {
        let id = [1, 2, 3, 4, 5];
        let notes =
            [note(b"GNU\0", 1, &[9; 16]), note(b"stapsdt\0", 3, &[7; 3]), note(b"GNU\0", 3, &id)].concat();
        assert_eq!(find_build_id(&notes), Some(&id[..]));
        for cut in 0..notes.len() - 3 {
            assert_eq!(find_build_id(&notes[..cut]), None, "cut at {cut}");
        }
        assert_eq!(find_build_id(&[0xff; 64]), None, "sizes that overflow");
        assert_eq!(find_build_id(&note(b"GNU\0", 3, &[])), None, "an empty id is none");
    }

    #[test]
    fn this_program_has_a_build_id_and_a_text_has_none() {
        assert!(build_id(Path::new(SELF)).unwrap().is_some_and(|id| id.len() >= 8));
        let text = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        assert_eq!(build_id(&text).unwrap(), None);
        assert!(!is_this_one(&text) && !is_this_one(Path::new("/nowhere")));
        assert!(is_this_one(&std::env::current_exe().unwrap()));
    }
}

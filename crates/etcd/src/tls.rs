//! The files of a TLS identity, read and looked at before anybody is asked, so that a refusal names the file.
use crate::{Error, Identity, TlsFiles};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{fs, path::Path};
use tonic::transport::{Certificate, ClientTlsConfig, Identity as TonicIdentity};

/// What a connection needs; the name that the server's certificate must have is added for each endpoint.
pub(crate) fn config(files: &TlsFiles) -> Result<ClientTlsConfig, Error> {
    let ca = certificates(&files.ca)?;
    let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
    let Some(Identity { cert, key }) = &files.identity else { return Ok(config) };
    let (pem, secret) = (certificates(cert)?, read(key)?);
    if PrivateKeyDer::from_pem_slice(&secret).is_err() {
        return Err(Error::NotPem { path: key.clone(), wanted: "private key" });
    }
    Ok(config.identity(TonicIdentity::from_pem(pem, secret)))
}

fn certificates(path: &Path) -> Result<Vec<u8>, Error> {
    let pem = read(path)?;
    let mut found = CertificateDer::pem_slice_iter(&pem).peekable();
    if found.peek().is_none() || found.any(|one| one.is_err()) {
        return Err(Error::NotPem { path: path.into(), wanted: "certificate" });
    }
    Ok(pem)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|cause| Error::File { path: path.into(), cause })
}

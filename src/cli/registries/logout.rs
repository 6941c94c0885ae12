//! `logout`: the password for a registry goes, from where `login` put it.

use super::auth_file::AuthFile;
use super::{config_path, host};
use crate::cli::args::Logout;
use crate::cli::context::Context;
use crate::cli::error::Error;
use crate::source::Options;

/// `shale logout`
pub fn logout(context: &mut Context, args: &Logout) -> Result<(), Error> {
    let host = host(&args.registry);
    let options = Options::from_environment();
    let mut file = AuthFile::open(config_path(&options)?)?;
    if file.remove(host)? {
        context.out.message(&format!("Removing login credentials for {host}"));
    } else {
        context.out.message(&format!("Not logged in to {host}"));
    }
    Ok(())
}

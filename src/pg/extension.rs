//! The extension as it is installed in this database: its owner, and whether its tables are those that this library knows.

use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::{FromDatum, PgSqlErrorCode};

/// The versions of the extension's schema that this library works with: its own, and older ones that differ from it in
/// nothing that it uses.
const SCHEMAS: [&[u8]; 2] = [env!("CARGO_PKG_VERSION").as_bytes(), b"0.1.0"];

/// What pg_extension says of this extension in this database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    pub oid: Oid,
    /// Who owns its tables: whom the engine's own statements run as.
    pub owner: Oid,
    /// Whether this library works with its schema. Not between the installation of a new library and ALTER EXTENSION
    /// UPDATE, nor in processes that have an old library after that.
    pub fits: bool,
}

/// The extension as it is installed in this database, if it is. A look into the catalogue, as cheap as that for its oid
/// alone.
pub fn extension() -> Option<Extension> {
    let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    // SAFETY: the server's own way to find an extension by its name; the row is read while the scan holds it.
    unsafe {
        let catalogue = pg_sys::table_open(pg_sys::ExtensionRelationId, lock);
        let mut key = pg_sys::ScanKeyData::default();
        pg_sys::ScanKeyInit(
            &mut key,
            pg_sys::Anum_pg_extension_extname as pg_sys::AttrNumber,
            pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
            pg_sys::RegProcedure::from(pg_sys::F_NAMEEQ),
            Datum::from(c"workflow_engine".as_ptr()),
        );
        let scan = pg_sys::systable_beginscan(
            catalogue,
            Oid::from(pg_sys::ExtensionNameIndexId),
            true,
            std::ptr::null_mut(),
            1,
            &mut key,
        );
        let row = pg_sys::systable_getnext(scan);
        let found = (!row.is_null()).then(|| {
            let form = &*pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_extension>();
            let mut is_null = false;
            let version = pg_sys::heap_getattr(
                row,
                pg_sys::Anum_pg_extension_extversion as i32,
                (*catalogue).rd_att,
                &mut is_null,
            );
            let version = if is_null {
                None
            } else {
                <&[u8]>::from_datum(version, false)
            };
            Extension {
                oid: form.oid,
                owner: form.extowner,
                fits: version.is_some_and(|version| SCHEMAS.contains(&version)),
            }
        });
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(catalogue, lock);
        found
    }
}

/// The extension's oid in this database, if it is installed.
pub fn extension_oid() -> Option<Oid> {
    extension().map(|found| found.oid)
}

/// Refuses to work with a schema that this library does not know.
pub fn other_version() -> ! {
    let version = super::spi::connected(|| {
        super::spi::query(
            "SELECT e.extversion FROM pg_catalog.pg_extension AS e WHERE e.extname OPERATOR(pg_catalog.=) 'workflow_engine'",
            &[],
        )
        .first()
        .map_or_else(String::new, |row| row.must::<String>(1))
    });
    super::raise::raise_as(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!(
            "workflow_engine has version {version} in this database, and its library is of version {}",
            env!("CARGO_PKG_VERSION")
        ),
        Some("Nothing is done until they fit; changes of the ERP are noted meanwhile.".to_owned()),
        Some(
            "After a new library was installed: ALTER EXTENSION workflow_engine UPDATE. If that was done already: restart \
             the server, or where the library is not preloaded, connect again."
                .to_owned(),
        ),
    )
}

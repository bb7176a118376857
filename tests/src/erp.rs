//! The ERP that the workflows are bound to, and the probes that the tests look through.

/// Tables, views and three customers; knows nothing of the extension.
pub const ERP: &str = include_str!("../sql/erp.sql");

/// Functions in schema `probe` that show the engine's tables with names and local times.
pub const PROBES: &str = include_str!("../sql/probes.sql");

/// Binds the invoice to the engine.
pub const BIND_INVOICE: &str = "SELECT wf.bind_subject('invoice', 'public.invoice', key => 'id', details => 'public.invoice_details', \
     email => 'email', phone => 'phone', address => 'address', locale => 'locale', time_zone => 'time_zone')";

/// Binds the inspection report to the engine, and the policy whose status also matters.
pub const BIND_REPORT: &str = "SELECT wf.bind_subject('inspection_report', 'public.inspection_report', key => 'id', \
     details => 'public.inspection_report_details', \
     email => 'email', phone => 'phone', address => 'address', locale => 'locale', time_zone => 'time_zone')";

"""The database: patients, cases, images, reports, users and the audit trail. No other package has one."""

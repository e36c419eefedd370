CREATE TABLE keyring (
    purpose VARCHAR(16) NOT NULL,
    version INTEGER NOT NULL,
    master VARCHAR(16) NOT NULL,
    wrapped BLOB NOT NULL,
    made_at DATETIME NOT NULL,
    CONSTRAINT pk_keyring PRIMARY KEY (purpose)
);

CREATE TABLE users (
    id VARCHAR(26) NOT NULL,
    login VARCHAR(64) NOT NULL,
    name VARCHAR(120) NOT NULL,
    title VARCHAR(60) NOT NULL,
    registration VARCHAR(40) NOT NULL,
    roles VARCHAR(200) NOT NULL,
    departments VARCHAR(600) NOT NULL,
    password_hash VARCHAR(200),
    must_change BOOLEAN NOT NULL,
    failed INTEGER NOT NULL,
    locked_until DATETIME,
    disabled_at DATETIME,
    oidc_issuer VARCHAR(300),
    oidc_subject VARCHAR(255),
    language VARCHAR(2),
    theme VARCHAR(5),
    created_at DATETIME NOT NULL,
    password_at DATETIME,
    last_login_at DATETIME,
    CONSTRAINT pk_users PRIMARY KEY (id),
    CONSTRAINT uq_users_login UNIQUE (login),
    CONSTRAINT uq_users_oidc_issuer_oidc_subject UNIQUE (oidc_issuer, oidc_subject)
);

CREATE TABLE api_tokens (
    id VARCHAR(26) NOT NULL,
    user_id VARCHAR(26) NOT NULL,
    name VARCHAR(60) NOT NULL,
    digest VARCHAR(64) NOT NULL,
    scopes VARCHAR(600) NOT NULL,
    created_at DATETIME NOT NULL,
    expires_at DATETIME NOT NULL,
    used_at DATETIME,
    revoked_at DATETIME,
    held_at DATETIME,
    CONSTRAINT pk_api_tokens PRIMARY KEY (id),
    CONSTRAINT fk_api_tokens_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT uq_api_tokens_digest UNIQUE (digest)
);

CREATE INDEX ix_api_tokens_user_id ON api_tokens (user_id);

CREATE TABLE invites (
    digest VARCHAR(64) NOT NULL,
    roles VARCHAR(200) NOT NULL,
    user_id VARCHAR(26),
    created_at DATETIME NOT NULL,
    expires_at DATETIME NOT NULL,
    used_at DATETIME,
    CONSTRAINT pk_invites PRIMARY KEY (digest),
    CONSTRAINT fk_invites_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE TABLE passkeys (
    id VARCHAR(26) NOT NULL,
    user_id VARCHAR(26) NOT NULL,
    credential_id BLOB NOT NULL,
    public_key BLOB NOT NULL,
    sign_count INTEGER NOT NULL,
    name VARCHAR(60) NOT NULL,
    created_at DATETIME NOT NULL,
    used_at DATETIME,
    held_at DATETIME,
    CONSTRAINT pk_passkeys PRIMARY KEY (id),
    CONSTRAINT fk_passkeys_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT uq_passkeys_credential_id UNIQUE (credential_id)
);

CREATE INDEX ix_passkeys_user_id ON passkeys (user_id);

CREATE TABLE notices (
    id VARCHAR(26) NOT NULL,
    user_id VARCHAR(26) NOT NULL,
    kind VARCHAR(32) NOT NULL,
    at DATETIME NOT NULL,
    by_user_id VARCHAR(26),
    address VARCHAR(64),
    agent VARCHAR(200),
    what VARCHAR(200) NOT NULL,
    browser VARCHAR(64),
    seen_at DATETIME,
    CONSTRAINT pk_notices PRIMARY KEY (id),
    CONSTRAINT fk_notices_by_user_id FOREIGN KEY(by_user_id) REFERENCES users (id),
    CONSTRAINT fk_notices_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_notices_user_id ON notices (user_id);

CREATE TABLE sessions (
    id VARCHAR(64) NOT NULL,
    user_id VARCHAR(26) NOT NULL,
    method VARCHAR(32) NOT NULL,
    csrf VARCHAR(64) NOT NULL,
    created_at DATETIME NOT NULL,
    seen_at DATETIME NOT NULL,
    expires_at DATETIME NOT NULL,
    locked BOOLEAN NOT NULL,
    address VARCHAR(64),
    agent VARCHAR(200),
    challenge BLOB,
    CONSTRAINT pk_sessions PRIMARY KEY (id),
    CONSTRAINT fk_sessions_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_sessions_user_id ON sessions (user_id);

CREATE TABLE patients (
    id VARCHAR(26) NOT NULL,
    "key" BLOB,
    identity BLOB,
    created_at DATETIME NOT NULL,
    erased_at DATETIME,
    erase_after DATETIME,
    CONSTRAINT pk_patients PRIMARY KEY (id)
);

CREATE TABLE patient_index (
    patient_id VARCHAR(26) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    digest BLOB NOT NULL,
    CONSTRAINT pk_patient_index PRIMARY KEY (patient_id, kind, digest),
    CONSTRAINT fk_patient_index_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id)
);

CREATE INDEX ix_patient_index_kind_digest ON patient_index (kind, digest);

CREATE TABLE patient_links (
    patient_id VARCHAR(26) NOT NULL,
    survivor_id VARCHAR(26) NOT NULL,
    reason VARCHAR(32) NOT NULL,
    created_at DATETIME NOT NULL,
    created_by VARCHAR(26),
    CONSTRAINT pk_patient_links PRIMARY KEY (patient_id),
    CONSTRAINT fk_patient_links_created_by FOREIGN KEY(created_by) REFERENCES users (id),
    CONSTRAINT fk_patient_links_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id),
    CONSTRAINT fk_patient_links_survivor_id FOREIGN KEY(survivor_id) REFERENCES patients (id)
);

CREATE INDEX ix_patient_links_survivor_id ON patient_links (survivor_id);

CREATE TABLE cases (
    id VARCHAR(26) NOT NULL,
    number VARCHAR(16) NOT NULL,
    patient_id VARCHAR(26) NOT NULL,
    state VARCHAR(32) NOT NULL,
    priority SMALLINT NOT NULL,
    priority_chosen SMALLINT,
    urgency VARCHAR(32),
    department VARCHAR(60),
    restricted BOOLEAN NOT NULL,
    waiting_since DATETIME NOT NULL,
    created_at DATETIME NOT NULL,
    created_by VARCHAR(26),
    updated_at DATETIME NOT NULL,
    question BLOB,
    emptied_at DATETIME,
    CONSTRAINT pk_cases PRIMARY KEY (id),
    CONSTRAINT fk_cases_created_by FOREIGN KEY(created_by) REFERENCES users (id),
    CONSTRAINT fk_cases_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id),
    CONSTRAINT uq_cases_id_state_priority_waiting_since UNIQUE (id, state, priority, waiting_since),
    CONSTRAINT uq_cases_number UNIQUE (number)
);

CREATE INDEX ix_cases_department ON cases (department, state, priority, waiting_since, id);

CREATE INDEX ix_cases_patient_id ON cases (patient_id);

CREATE INDEX ix_cases_state ON cases (state, priority, waiting_since, id);

CREATE INDEX ix_cases_updated ON cases (updated_at, id);

CREATE TABLE case_marks (
    case_id VARCHAR(26) NOT NULL,
    mark VARCHAR(200) NOT NULL,
    state VARCHAR(32) NOT NULL,
    priority SMALLINT NOT NULL,
    waiting_since DATETIME NOT NULL,
    CONSTRAINT pk_case_marks PRIMARY KEY (case_id, mark),
    CONSTRAINT fk_case_marks_case_id_state_priority_waiting_since FOREIGN KEY(case_id, state, priority, waiting_since) REFERENCES cases (id, state, priority, waiting_since) ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE INDEX ix_case_marks_worklist ON case_marks (mark, state, priority, waiting_since, case_id);

CREATE TABLE case_moves (
    case_id VARCHAR(26) NOT NULL,
    moved_to VARCHAR(26) NOT NULL,
    reason VARCHAR(32) NOT NULL,
    created_at DATETIME NOT NULL,
    created_by VARCHAR(26),
    CONSTRAINT pk_case_moves PRIMARY KEY (case_id),
    CONSTRAINT fk_case_moves_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_case_moves_created_by FOREIGN KEY(created_by) REFERENCES users (id),
    CONSTRAINT fk_case_moves_moved_to FOREIGN KEY(moved_to) REFERENCES cases (id),
    CONSTRAINT uq_case_moves_moved_to UNIQUE (moved_to)
);

CREATE TABLE claims (
    case_id VARCHAR(26) NOT NULL,
    user_id VARCHAR(26) NOT NULL,
    since DATETIME NOT NULL,
    expires_at DATETIME NOT NULL,
    CONSTRAINT pk_claims PRIMARY KEY (case_id),
    CONSTRAINT fk_claims_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_claims_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE TABLE complaints (
    id VARCHAR(26) NOT NULL,
    case_id VARCHAR(26) NOT NULL,
    patient_id VARCHAR(26) NOT NULL,
    text BLOB,
    answer BLOB,
    bundle VARCHAR(120) NOT NULL,
    bundle_sha256 VARCHAR(64) NOT NULL,
    urgency VARCHAR(32) NOT NULL,
    department_model VARCHAR(60),
    probability DOUBLE,
    abstained BOOLEAN NOT NULL,
    department_chosen VARCHAR(60),
    chosen_by VARCHAR(26),
    chosen_at DATETIME,
    created_at DATETIME NOT NULL,
    created_by VARCHAR(26),
    CONSTRAINT pk_complaints PRIMARY KEY (id),
    CONSTRAINT fk_complaints_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_complaints_chosen_by FOREIGN KEY(chosen_by) REFERENCES users (id),
    CONSTRAINT fk_complaints_created_by FOREIGN KEY(created_by) REFERENCES users (id),
    CONSTRAINT fk_complaints_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id)
);

CREATE INDEX ix_complaints_case_id ON complaints (case_id);

CREATE INDEX ix_complaints_created_at ON complaints (created_at);

CREATE TABLE studies (
    id VARCHAR(26) NOT NULL,
    case_id VARCHAR(26) NOT NULL,
    patient_id VARCHAR(26) NOT NULL,
    uid_digest BLOB,
    accession_digest BLOB,
    tags BLOB,
    modality VARCHAR(16),
    created_at DATETIME NOT NULL,
    CONSTRAINT pk_studies PRIMARY KEY (id),
    CONSTRAINT fk_studies_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_studies_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id),
    CONSTRAINT uq_studies_case_id_uid_digest UNIQUE (case_id, uid_digest)
);

CREATE INDEX ix_studies_accession_digest ON studies (accession_digest);

CREATE INDEX ix_studies_case_id ON studies (case_id);

CREATE INDEX ix_studies_patient_id ON studies (patient_id);

CREATE TABLE images (
    id VARCHAR(26) NOT NULL,
    study_id VARCHAR(26) NOT NULL,
    case_id VARCHAR(26) NOT NULL,
    patient_id VARCHAR(26) NOT NULL,
    file VARCHAR(64) NOT NULL,
    size INTEGER NOT NULL,
    file_format VARCHAR(16) NOT NULL,
    rows INTEGER NOT NULL,
    columns INTEGER NOT NULL,
    frames INTEGER NOT NULL,
    spacing VARCHAR(40),
    "view" VARCHAR(16),
    tags BLOB,
    created_at DATETIME NOT NULL,
    created_by VARCHAR(26),
    CONSTRAINT pk_images PRIMARY KEY (id),
    CONSTRAINT fk_images_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_images_created_by FOREIGN KEY(created_by) REFERENCES users (id),
    CONSTRAINT fk_images_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id),
    CONSTRAINT fk_images_study_id FOREIGN KEY(study_id) REFERENCES studies (id),
    CONSTRAINT uq_images_case_id_file UNIQUE (case_id, file)
);

CREATE INDEX ix_images_case_id ON images (case_id);

CREATE INDEX ix_images_created_by_created_at ON images (created_by, created_at);

CREATE INDEX ix_images_patient_id ON images (patient_id);

CREATE INDEX ix_images_study_id ON images (study_id);

CREATE TABLE blobs (
    id VARCHAR(26) NOT NULL,
    patient_id VARCHAR(26) NOT NULL,
    image_id VARCHAR(26) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    label VARCHAR(60) NOT NULL,
    file VARCHAR(64) NOT NULL,
    size INTEGER NOT NULL,
    created_at DATETIME NOT NULL,
    CONSTRAINT pk_blobs PRIMARY KEY (id),
    CONSTRAINT fk_blobs_image_id FOREIGN KEY(image_id) REFERENCES images (id),
    CONSTRAINT fk_blobs_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id),
    CONSTRAINT uq_blobs_image_id_kind_label UNIQUE (image_id, kind, label)
);

CREATE INDEX ix_blobs_image_id ON blobs (image_id);

CREATE INDEX ix_blobs_patient_id ON blobs (patient_id);

CREATE TABLE break_glass (
    id VARCHAR(26) NOT NULL,
    user_id VARCHAR(26) NOT NULL,
    case_id VARCHAR(26) NOT NULL,
    reason BLOB,
    at DATETIME NOT NULL,
    expires_at DATETIME NOT NULL,
    CONSTRAINT pk_break_glass PRIMARY KEY (id),
    CONSTRAINT fk_break_glass_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_break_glass_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_break_glass_user_id_case_id_expires_at ON break_glass (user_id, case_id, expires_at);

CREATE TABLE jobs (
    id VARCHAR(26) NOT NULL,
    kind VARCHAR(32) NOT NULL,
    case_id VARCHAR(26) NOT NULL,
    image_id VARCHAR(26),
    state VARCHAR(32) NOT NULL,
    priority SMALLINT NOT NULL,
    attempts INTEGER NOT NULL,
    worker VARCHAR(64),
    lease_until DATETIME,
    model VARCHAR(300),
    frame INTEGER,
    fault VARCHAR(2000),
    created_at DATETIME NOT NULL,
    started_at DATETIME,
    finished_at DATETIME,
    CONSTRAINT pk_jobs PRIMARY KEY (id),
    CONSTRAINT fk_jobs_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_jobs_image_id FOREIGN KEY(image_id) REFERENCES images (id)
);

CREATE INDEX ix_jobs_case ON jobs (case_id);

CREATE INDEX ix_jobs_image_id ON jobs (image_id);

CREATE INDEX ix_jobs_queue ON jobs (state, priority, id);

CREATE TABLE runs (
    id VARCHAR(26) NOT NULL,
    case_id VARCHAR(26) NOT NULL,
    image_id VARCHAR(26) NOT NULL,
    patient_id VARCHAR(26) NOT NULL,
    capability VARCHAR(32) NOT NULL,
    bundle VARCHAR(120) NOT NULL,
    bundle_sha256 VARCHAR(64) NOT NULL,
    state VARCHAR(32) NOT NULL,
    answer BLOB,
    route VARCHAR(16),
    flaws VARCHAR(300) NOT NULL,
    screen DOUBLE,
    brightness DOUBLE,
    contrast DOUBLE,
    frame INTEGER,
    started_at DATETIME NOT NULL,
    finished_at DATETIME NOT NULL,
    CONSTRAINT pk_runs PRIMARY KEY (id),
    CONSTRAINT fk_runs_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_runs_image_id FOREIGN KEY(image_id) REFERENCES images (id),
    CONSTRAINT fk_runs_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id)
);

CREATE INDEX ix_runs_case_id ON runs (case_id);

CREATE INDEX ix_runs_finished_at ON runs (finished_at);

CREATE INDEX ix_runs_image_id ON runs (image_id);

CREATE TABLE scores (
    run_id VARCHAR(26) NOT NULL,
    label VARCHAR(60) NOT NULL,
    score DOUBLE NOT NULL,
    probability DOUBLE,
    threshold DOUBLE NOT NULL,
    positive BOOLEAN NOT NULL,
    CONSTRAINT pk_scores PRIMARY KEY (run_id, label),
    CONSTRAINT fk_scores_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);

CREATE TABLE triage_tallies (
    bundle_sha256 VARCHAR(64) NOT NULL,
    week DATETIME NOT NULL,
    bundle VARCHAR(120) NOT NULL,
    counts TEXT NOT NULL,
    CONSTRAINT pk_triage_tallies PRIMARY KEY (bundle_sha256, week)
);

CREATE TABLE report_templates (
    id VARCHAR(26) NOT NULL,
    name VARCHAR(80) NOT NULL,
    language VARCHAR(2) NOT NULL,
    text VARCHAR(20000) NOT NULL,
    created_by VARCHAR(26),
    created_at DATETIME NOT NULL,
    CONSTRAINT pk_report_templates PRIMARY KEY (id),
    CONSTRAINT fk_report_templates_created_by FOREIGN KEY(created_by) REFERENCES users (id),
    CONSTRAINT uq_report_templates_name UNIQUE (name)
);

CREATE TABLE reports (
    id VARCHAR(26) NOT NULL,
    case_id VARCHAR(26) NOT NULL,
    image_id VARCHAR(26) NOT NULL,
    run_id VARCHAR(26),
    patient_id VARCHAR(26) NOT NULL,
    state VARCHAR(32) NOT NULL,
    language VARCHAR(2) NOT NULL,
    writer VARCHAR(120) NOT NULL,
    revision INTEGER NOT NULL,
    machine BLOB,
    draft BLOB,
    amending BLOB,
    version INTEGER NOT NULL,
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL,
    updated_by VARCHAR(26),
    CONSTRAINT pk_reports PRIMARY KEY (id),
    CONSTRAINT fk_reports_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_reports_image_id FOREIGN KEY(image_id) REFERENCES images (id),
    CONSTRAINT fk_reports_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id),
    CONSTRAINT fk_reports_run_id FOREIGN KEY(run_id) REFERENCES runs (id),
    CONSTRAINT fk_reports_updated_by FOREIGN KEY(updated_by) REFERENCES users (id),
    CONSTRAINT uq_reports_image_id UNIQUE (image_id)
);

CREATE INDEX ix_reports_case_id ON reports (case_id);

CREATE INDEX ix_reports_patient_id ON reports (patient_id);

CREATE TABLE finding_reviews (
    report_id VARCHAR(26) NOT NULL,
    label VARCHAR(60) NOT NULL,
    run_id VARCHAR(26),
    judgement VARCHAR(32) NOT NULL,
    model_positive BOOLEAN,
    user_id VARCHAR(26) NOT NULL,
    at DATETIME NOT NULL,
    CONSTRAINT pk_finding_reviews PRIMARY KEY (report_id, label),
    CONSTRAINT fk_finding_reviews_report_id FOREIGN KEY(report_id) REFERENCES reports (id),
    CONSTRAINT fk_finding_reviews_run_id FOREIGN KEY(run_id) REFERENCES runs (id),
    CONSTRAINT fk_finding_reviews_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_finding_reviews_label_at ON finding_reviews (label, at);

CREATE TABLE report_versions (
    id VARCHAR(26) NOT NULL,
    report_id VARCHAR(26) NOT NULL,
    case_id VARCHAR(26) NOT NULL,
    patient_id VARCHAR(26) NOT NULL,
    number INTEGER NOT NULL,
    replaces VARCHAR(26),
    reason BLOB,
    document BLOB NOT NULL,
    verification VARCHAR(64) NOT NULL,
    corrected BOOLEAN NOT NULL,
    created_at DATETIME NOT NULL,
    CONSTRAINT pk_report_versions PRIMARY KEY (id),
    CONSTRAINT fk_report_versions_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_report_versions_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id),
    CONSTRAINT fk_report_versions_replaces FOREIGN KEY(replaces) REFERENCES report_versions (id),
    CONSTRAINT fk_report_versions_report_id FOREIGN KEY(report_id) REFERENCES reports (id),
    CONSTRAINT uq_report_versions_report_id_number UNIQUE (report_id, number)
);

CREATE INDEX ix_report_versions_case_id ON report_versions (case_id);

CREATE INDEX ix_report_versions_created_at ON report_versions (created_at);

CREATE INDEX ix_report_versions_patient_id ON report_versions (patient_id);

CREATE TABLE signatures (
    version_id VARCHAR(26) NOT NULL,
    user_id VARCHAR(26) NOT NULL,
    name VARCHAR(120) NOT NULL,
    title VARCHAR(60) NOT NULL,
    registration VARCHAR(40) NOT NULL,
    method VARCHAR(32) NOT NULL,
    digest VARCHAR(64) NOT NULL,
    signed_at DATETIME NOT NULL,
    CONSTRAINT pk_signatures PRIMARY KEY (version_id),
    CONSTRAINT fk_signatures_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_signatures_version_id FOREIGN KEY(version_id) REFERENCES report_versions (id)
);

CREATE INDEX ix_signatures_user_id ON signatures (user_id);

CREATE TABLE withdrawals (
    version_id VARCHAR(26) NOT NULL,
    user_id VARCHAR(26) NOT NULL,
    why VARCHAR(32) NOT NULL,
    name VARCHAR(120) NOT NULL,
    title VARCHAR(60) NOT NULL,
    registration VARCHAR(40) NOT NULL,
    method VARCHAR(32) NOT NULL,
    statement BLOB NOT NULL,
    digest VARCHAR(64) NOT NULL,
    withdrawn_at DATETIME NOT NULL,
    CONSTRAINT pk_withdrawals PRIMARY KEY (version_id),
    CONSTRAINT fk_withdrawals_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_withdrawals_version_id FOREIGN KEY(version_id) REFERENCES report_versions (id)
);

CREATE INDEX ix_withdrawals_user_id ON withdrawals (user_id);

CREATE TABLE audit (
    seq INTEGER NOT NULL,
    at DATETIME NOT NULL,
    action VARCHAR(40) NOT NULL,
    user_id VARCHAR(26),
    case_id VARCHAR(26),
    patient_id VARCHAR(26),
    content VARCHAR(8000),
    salt BLOB,
    digest BLOB NOT NULL,
    chain BLOB NOT NULL,
    CONSTRAINT pk_audit PRIMARY KEY (seq)
);

CREATE INDEX ix_audit_action ON audit (action);

CREATE INDEX ix_audit_at ON audit (at);

CREATE INDEX ix_audit_case_id ON audit (case_id);

CREATE INDEX ix_audit_patient_id ON audit (patient_id);

CREATE INDEX ix_audit_user_id ON audit (user_id);

CREATE TABLE audit_head (
    id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    chain BLOB NOT NULL,
    seal BLOB NOT NULL,
    CONSTRAINT pk_audit_head PRIMARY KEY (id)
);

CREATE TABLE events (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at DATETIME NOT NULL,
    kind VARCHAR(32) NOT NULL,
    case_id VARCHAR(26)
);

CREATE INDEX ix_events_at ON events (at);

CREATE TABLE idempotent_requests (
    user_id VARCHAR(26) NOT NULL,
    "key" VARCHAR(80) NOT NULL,
    request BLOB NOT NULL,
    patient_id VARCHAR(26),
    status INTEGER NOT NULL,
    body BLOB NOT NULL,
    at DATETIME NOT NULL,
    CONSTRAINT pk_idempotent_requests PRIMARY KEY (user_id, "key")
);

CREATE INDEX ix_idempotent_requests_at ON idempotent_requests (at);

CREATE INDEX ix_idempotent_requests_patient_id ON idempotent_requests (patient_id);

CREATE TABLE notes (
    "key" VARCHAR(40) NOT NULL,
    value VARCHAR(2000) NOT NULL,
    CONSTRAINT pk_notes PRIMARY KEY ("key")
);

CREATE TRIGGER audit_delete_refused BEFORE DELETE ON audit FOR EACH ROW WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'the audit trail is only added to'); END;

CREATE TRIGGER audit_update_refused BEFORE UPDATE ON audit FOR EACH ROW WHEN NOT (NEW.seq IS OLD.seq AND NEW.at IS OLD.at AND NEW.action IS OLD.action AND NEW.user_id IS OLD.user_id AND NEW.case_id IS OLD.case_id AND NEW.patient_id IS OLD.patient_id AND NEW.digest IS OLD.digest AND NEW.chain IS OLD.chain AND NEW.content IS NULL AND NEW.salt IS NULL) BEGIN SELECT RAISE(ABORT, 'the audit trail is only added to'); END;

CREATE TRIGGER report_versions_update_refused BEFORE UPDATE ON report_versions FOR EACH ROW WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'a signed report is never changed'); END;

CREATE TRIGGER report_versions_delete_refused BEFORE DELETE ON report_versions FOR EACH ROW WHEN NOT EXISTS (SELECT 1 FROM patients WHERE id = OLD.patient_id AND key IS NULL) BEGIN SELECT RAISE(ABORT, 'a signed report is never changed'); END;

CREATE TRIGGER signatures_update_refused BEFORE UPDATE ON signatures FOR EACH ROW WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'a signed report is never changed'); END;

CREATE TRIGGER signatures_delete_refused BEFORE DELETE ON signatures FOR EACH ROW WHEN NOT EXISTS (SELECT 1 FROM patients WHERE id = (SELECT patient_id FROM report_versions WHERE id = OLD.version_id) AND key IS NULL) BEGIN SELECT RAISE(ABORT, 'a signed report is never changed'); END;

CREATE TRIGGER withdrawals_update_refused BEFORE UPDATE ON withdrawals FOR EACH ROW WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'a withdrawal of a report is never changed'); END;

CREATE TRIGGER withdrawals_delete_refused BEFORE DELETE ON withdrawals FOR EACH ROW WHEN NOT EXISTS (SELECT 1 FROM patients WHERE id = (SELECT patient_id FROM report_versions WHERE id = OLD.version_id) AND key IS NULL) BEGIN SELECT RAISE(ABORT, 'a withdrawal of a report is never changed'); END;

CREATE TRIGGER patients_update_refused BEFORE UPDATE ON patients FOR EACH ROW WHEN OLD.key IS NOT NULL AND NEW.key IS NULL AND (NEW.erase_after IS NULL OR NEW.erase_after > strftime('%Y-%m-%d %H:%M:%f', 'now')) AND EXISTS (SELECT 1 FROM report_versions WHERE patient_id = OLD.id) BEGIN SELECT RAISE(ABORT, 'a signed report is kept by law until patients.erase_after'); END;

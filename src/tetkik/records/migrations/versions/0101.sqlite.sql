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

CREATE TABLE challenges (
    digest VARCHAR(64) NOT NULL,
    content BLOB NOT NULL,
    expires_at DATETIME NOT NULL,
    CONSTRAINT pk_challenges PRIMARY KEY (digest)
);

CREATE INDEX ix_challenges_expires_at ON challenges (expires_at);

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

CREATE TABLE keyring (
    purpose VARCHAR(16) NOT NULL,
    version INTEGER NOT NULL,
    master VARCHAR(16) NOT NULL,
    wrapped BLOB NOT NULL,
    made_at DATETIME NOT NULL,
    CONSTRAINT pk_keyring PRIMARY KEY (purpose)
);

CREATE TABLE notes (
    "key" VARCHAR(40) NOT NULL,
    value VARCHAR(2000) NOT NULL,
    CONSTRAINT pk_notes PRIMARY KEY ("key")
);

CREATE TABLE patients (
    "key" BLOB,
    identity BLOB,
    created_at DATETIME NOT NULL,
    erased_at DATETIME,
    erase_after DATETIME,
    name_revision BIGINT,
    told_at DATETIME,
    id VARCHAR(26) NOT NULL,
    CONSTRAINT pk_patients PRIMARY KEY (id)
);

CREATE INDEX ix_patients_name_revision_id ON patients (name_revision, id);

CREATE TABLE rate_buckets (
    "key" VARCHAR(64) NOT NULL,
    full_at DATETIME NOT NULL,
    CONSTRAINT pk_rate_buckets PRIMARY KEY ("key")
);

CREATE INDEX ix_rate_buckets_full_at ON rate_buckets (full_at);

CREATE TABLE triage_tallies (
    bundle_sha256 VARCHAR(64) NOT NULL,
    week DATETIME NOT NULL,
    bundle VARCHAR(120) NOT NULL,
    counts TEXT NOT NULL,
    CONSTRAINT pk_triage_tallies PRIMARY KEY (bundle_sha256, week)
);

CREATE TABLE users (
    login VARCHAR(64) NOT NULL,
    name VARCHAR(120) NOT NULL,
    title VARCHAR(60) NOT NULL,
    registration VARCHAR(40) NOT NULL,
    roles VARCHAR(200) NOT NULL,
    departments VARCHAR(600) NOT NULL,
    password_hash VARCHAR(200),
    must_change BOOLEAN NOT NULL,
    disabled_at DATETIME,
    oidc_issuer VARCHAR(300),
    oidc_subject VARCHAR(255),
    language VARCHAR(2),
    theme VARCHAR(5),
    worklist TEXT,
    created_at DATETIME NOT NULL,
    password_at DATETIME,
    last_login_at DATETIME,
    id VARCHAR(26) NOT NULL,
    mac BLOB,
    CONSTRAINT pk_users PRIMARY KEY (id),
    CONSTRAINT uq_users_oidc_issuer_oidc_subject UNIQUE (oidc_issuer, oidc_subject),
    CONSTRAINT uq_users_login UNIQUE (login)
);

CREATE TABLE api_tokens (
    user_id VARCHAR(26) NOT NULL,
    name VARCHAR(60) NOT NULL,
    digest VARCHAR(64) NOT NULL,
    scopes VARCHAR(600) NOT NULL,
    created_at DATETIME NOT NULL,
    expires_at DATETIME NOT NULL,
    used_at DATETIME,
    revoked_at DATETIME,
    held_at DATETIME,
    id VARCHAR(26) NOT NULL,
    mac BLOB,
    CONSTRAINT pk_api_tokens PRIMARY KEY (id),
    CONSTRAINT fk_api_tokens_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT uq_api_tokens_digest UNIQUE (digest)
);

CREATE INDEX ix_api_tokens_user_id ON api_tokens (user_id);

CREATE TABLE cases (
    number VARCHAR(16) NOT NULL,
    patient_id VARCHAR(26) NOT NULL,
    state VARCHAR(32) NOT NULL,
    priority SMALLINT NOT NULL,
    priority_chosen SMALLINT,
    urgency VARCHAR(32),
    department VARCHAR(60),
    restricted BOOLEAN NOT NULL,
    waiting_since DATETIME NOT NULL,
    updated_at DATETIME NOT NULL,
    question BLOB,
    emptied_at DATETIME,
    id VARCHAR(26) NOT NULL,
    created_at DATETIME NOT NULL,
    created_by VARCHAR(26),
    CONSTRAINT pk_cases PRIMARY KEY (id),
    CONSTRAINT uq_cases_id_state_priority_waiting_since UNIQUE (id, state, priority, waiting_since),
    CONSTRAINT uq_cases_number UNIQUE (number),
    CONSTRAINT fk_cases_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id),
    CONSTRAINT fk_cases_created_by FOREIGN KEY(created_by) REFERENCES users (id)
);

CREATE INDEX ix_cases_created_at ON cases (created_at);

CREATE INDEX ix_cases_department ON cases (department, state, priority, waiting_since, id);

CREATE INDEX ix_cases_patient_id ON cases (patient_id);

CREATE INDEX ix_cases_state ON cases (state, priority, waiting_since, id);

CREATE INDEX ix_cases_updated ON cases (updated_at, id);

CREATE TABLE encounters (
    patient_id VARCHAR(26) NOT NULL,
    number_digest BLOB NOT NULL,
    department VARCHAR(60),
    opened_at DATETIME,
    closed_at DATETIME,
    told_at DATETIME NOT NULL,
    id VARCHAR(26) NOT NULL,
    CONSTRAINT pk_encounters PRIMARY KEY (id),
    CONSTRAINT uq_encounters_patient_id_number_digest UNIQUE (patient_id, number_digest),
    CONSTRAINT fk_encounters_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id)
);

CREATE INDEX ix_encounters_open ON encounters (closed_at, patient_id);

CREATE INDEX ix_encounters_patient_id ON encounters (patient_id);

CREATE TABLE invites (
    digest VARCHAR(64) NOT NULL,
    roles VARCHAR(200) NOT NULL,
    user_id VARCHAR(26),
    created_at DATETIME NOT NULL,
    expires_at DATETIME NOT NULL,
    used_at DATETIME,
    mac BLOB,
    CONSTRAINT pk_invites PRIMARY KEY (digest),
    CONSTRAINT fk_invites_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE TABLE macros (
    user_id VARCHAR(26) NOT NULL,
    language VARCHAR(2) NOT NULL,
    abbreviation VARCHAR(16) NOT NULL,
    name VARCHAR(80) NOT NULL,
    hotkey INTEGER,
    text VARCHAR(4000) NOT NULL,
    id VARCHAR(26) NOT NULL,
    CONSTRAINT pk_macros PRIMARY KEY (id),
    CONSTRAINT uq_macros_user_id_language_abbreviation UNIQUE (user_id, language, abbreviation),
    CONSTRAINT uq_macros_user_id_language_hotkey UNIQUE (user_id, language, hotkey),
    CONSTRAINT fk_macros_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE TABLE notices (
    user_id VARCHAR(26) NOT NULL,
    kind VARCHAR(32) NOT NULL,
    at DATETIME NOT NULL,
    by_user_id VARCHAR(26),
    address VARCHAR(64),
    agent VARCHAR(200),
    what VARCHAR(200) NOT NULL,
    browser VARCHAR(64),
    seen_at DATETIME,
    id VARCHAR(26) NOT NULL,
    CONSTRAINT pk_notices PRIMARY KEY (id),
    CONSTRAINT fk_notices_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_notices_by_user_id FOREIGN KEY(by_user_id) REFERENCES users (id)
);

CREATE INDEX ix_notices_user_id ON notices (user_id);

CREATE TABLE passkeys (
    user_id VARCHAR(26) NOT NULL,
    credential_id BLOB NOT NULL,
    public_key BLOB NOT NULL,
    sign_count INTEGER NOT NULL,
    name VARCHAR(60) NOT NULL,
    created_at DATETIME NOT NULL,
    used_at DATETIME,
    held_at DATETIME,
    id VARCHAR(26) NOT NULL,
    mac BLOB,
    CONSTRAINT pk_passkeys PRIMARY KEY (id),
    CONSTRAINT fk_passkeys_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT uq_passkeys_credential_id UNIQUE (credential_id)
);

CREATE INDEX ix_passkeys_user_id ON passkeys (user_id);

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
    CONSTRAINT fk_patient_links_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id),
    CONSTRAINT fk_patient_links_survivor_id FOREIGN KEY(survivor_id) REFERENCES patients (id),
    CONSTRAINT fk_patient_links_created_by FOREIGN KEY(created_by) REFERENCES users (id)
);

CREATE INDEX ix_patient_links_survivor_id ON patient_links (survivor_id);

CREATE TABLE personal_words (
    user_id VARCHAR(26) NOT NULL,
    word VARCHAR(60) NOT NULL,
    CONSTRAINT pk_personal_words PRIMARY KEY (user_id, word),
    CONSTRAINT fk_personal_words_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE TABLE reader_pools (
    name VARCHAR(60) NOT NULL,
    id VARCHAR(26) NOT NULL,
    created_at DATETIME NOT NULL,
    created_by VARCHAR(26),
    CONSTRAINT pk_reader_pools PRIMARY KEY (id),
    CONSTRAINT uq_reader_pools_name UNIQUE (name),
    CONSTRAINT fk_reader_pools_created_by FOREIGN KEY(created_by) REFERENCES users (id)
);

CREATE TABLE report_templates (
    name VARCHAR(80) NOT NULL,
    language VARCHAR(2) NOT NULL,
    text VARCHAR(20000) NOT NULL,
    id VARCHAR(26) NOT NULL,
    created_at DATETIME NOT NULL,
    created_by VARCHAR(26),
    CONSTRAINT pk_report_templates PRIMARY KEY (id),
    CONSTRAINT uq_report_templates_name UNIQUE (name),
    CONSTRAINT fk_report_templates_created_by FOREIGN KEY(created_by) REFERENCES users (id)
);

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
    mac BLOB,
    CONSTRAINT pk_sessions PRIMARY KEY (id),
    CONSTRAINT fk_sessions_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_sessions_user_id ON sessions (user_id);

CREATE TABLE sign_in_failures (
    "key" VARCHAR(64) NOT NULL,
    user_id VARCHAR(26),
    failed INTEGER NOT NULL,
    until DATETIME,
    at DATETIME NOT NULL,
    CONSTRAINT pk_sign_in_failures PRIMARY KEY ("key"),
    CONSTRAINT fk_sign_in_failures_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_sign_in_failures_user_id ON sign_in_failures (user_id);

CREATE TABLE worklist_views (
    name VARCHAR(60) NOT NULL,
    "query" TEXT NOT NULL,
    shared BOOLEAN NOT NULL,
    id VARCHAR(26) NOT NULL,
    created_at DATETIME NOT NULL,
    created_by VARCHAR(26),
    CONSTRAINT pk_worklist_views PRIMARY KEY (id),
    CONSTRAINT uq_worklist_views_created_by_name UNIQUE (created_by, name),
    CONSTRAINT fk_worklist_views_created_by FOREIGN KEY(created_by) REFERENCES users (id)
);

CREATE TABLE assignments (
    case_id VARCHAR(26) NOT NULL,
    user_id VARCHAR(26),
    pool_id VARCHAR(26),
    assigned_at DATETIME NOT NULL,
    assigned_by VARCHAR(26),
    CONSTRAINT pk_assignments PRIMARY KEY (case_id),
    CONSTRAINT fk_assignments_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_assignments_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_assignments_pool_id FOREIGN KEY(pool_id) REFERENCES reader_pools (id) ON DELETE CASCADE,
    CONSTRAINT fk_assignments_assigned_by FOREIGN KEY(assigned_by) REFERENCES users (id)
);

CREATE INDEX ix_assignments_pool_id ON assignments (pool_id);

CREATE INDEX ix_assignments_user_id ON assignments (user_id);

CREATE TABLE break_glass (
    user_id VARCHAR(26) NOT NULL,
    case_id VARCHAR(26) NOT NULL,
    reason BLOB,
    at DATETIME NOT NULL,
    expires_at DATETIME NOT NULL,
    id VARCHAR(26) NOT NULL,
    CONSTRAINT pk_break_glass PRIMARY KEY (id),
    CONSTRAINT fk_break_glass_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_break_glass_case_id FOREIGN KEY(case_id) REFERENCES cases (id)
);

CREATE INDEX ix_break_glass_user_id_case_id_expires_at ON break_glass (user_id, case_id, expires_at);

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
    CONSTRAINT uq_case_moves_moved_to UNIQUE (moved_to),
    CONSTRAINT fk_case_moves_moved_to FOREIGN KEY(moved_to) REFERENCES cases (id),
    CONSTRAINT fk_case_moves_created_by FOREIGN KEY(created_by) REFERENCES users (id)
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
    case_id VARCHAR(26) NOT NULL,
    patient_id VARCHAR(26) NOT NULL,
    text BLOB,
    answer BLOB,
    bundle VARCHAR(120) NOT NULL,
    bundle_sha256 VARCHAR(64) NOT NULL,
    urgency VARCHAR(32),
    urgency_rules TEXT,
    urgency_chosen VARCHAR(32),
    urgency_reason VARCHAR(32),
    urgency_chosen_by VARCHAR(26),
    urgency_chosen_at DATETIME,
    department_model VARCHAR(60),
    probability DOUBLE,
    abstained BOOLEAN NOT NULL,
    department_chosen VARCHAR(60),
    chosen_by VARCHAR(26),
    chosen_at DATETIME,
    created_at DATETIME NOT NULL,
    created_by VARCHAR(26),
    id VARCHAR(26) NOT NULL,
    CONSTRAINT pk_complaints PRIMARY KEY (id),
    CONSTRAINT fk_complaints_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_complaints_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id),
    CONSTRAINT fk_complaints_urgency_chosen_by FOREIGN KEY(urgency_chosen_by) REFERENCES users (id),
    CONSTRAINT fk_complaints_chosen_by FOREIGN KEY(chosen_by) REFERENCES users (id),
    CONSTRAINT fk_complaints_created_by FOREIGN KEY(created_by) REFERENCES users (id)
);

CREATE INDEX ix_complaints_case_id ON complaints (case_id);

CREATE INDEX ix_complaints_created_at ON complaints (created_at);

CREATE TABLE critical_results (
    case_id VARCHAR(26) NOT NULL,
    patient_id VARCHAR(26) NOT NULL,
    reference VARCHAR(32) NOT NULL,
    level VARCHAR(32) NOT NULL,
    words BLOB,
    notices TEXT NOT NULL,
    next_at DATETIME,
    acknowledged_at DATETIME,
    acknowledged_by VARCHAR(26),
    told_to BLOB,
    read_back BOOLEAN NOT NULL,
    id VARCHAR(26) NOT NULL,
    created_at DATETIME NOT NULL,
    created_by VARCHAR(26),
    CONSTRAINT pk_critical_results PRIMARY KEY (id),
    CONSTRAINT fk_critical_results_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_critical_results_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id),
    CONSTRAINT uq_critical_results_reference UNIQUE (reference),
    CONSTRAINT fk_critical_results_acknowledged_by FOREIGN KEY(acknowledged_by) REFERENCES users (id),
    CONSTRAINT fk_critical_results_created_by FOREIGN KEY(created_by) REFERENCES users (id)
);

CREATE INDEX ix_critical_results_acknowledged_at_next_at ON critical_results (acknowledged_at, next_at);

CREATE INDEX ix_critical_results_case_id ON critical_results (case_id);

CREATE INDEX ix_critical_results_patient_id ON critical_results (patient_id);

CREATE TABLE orders (
    patient_id VARCHAR(26) NOT NULL,
    case_id VARCHAR(26),
    source VARCHAR(60) NOT NULL,
    state VARCHAR(32) NOT NULL,
    accession_digest BLOB,
    placer_digest BLOB,
    filler_digest BLOB,
    modality VARCHAR(16),
    body_part VARCHAR(16),
    department VARCHAR(60),
    station_ae VARCHAR(16),
    scheduled_at DATETIME NOT NULL,
    told_at DATETIME,
    content BLOB NOT NULL,
    created_at DATETIME NOT NULL,
    changed_at DATETIME NOT NULL,
    id VARCHAR(26) NOT NULL,
    CONSTRAINT pk_orders PRIMARY KEY (id),
    CONSTRAINT uq_orders_source_placer_digest UNIQUE (source, placer_digest),
    CONSTRAINT fk_orders_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id),
    CONSTRAINT fk_orders_case_id FOREIGN KEY(case_id) REFERENCES cases (id)
);

CREATE INDEX ix_orders_accession_digest ON orders (accession_digest);

CREATE INDEX ix_orders_case_id ON orders (case_id);

CREATE INDEX ix_orders_filler_digest ON orders (filler_digest);

CREATE INDEX ix_orders_patient_id ON orders (patient_id);

CREATE INDEX ix_orders_scheduled ON orders (state, scheduled_at);

CREATE TABLE pool_members (
    pool_id VARCHAR(26) NOT NULL,
    user_id VARCHAR(26) NOT NULL,
    CONSTRAINT pk_pool_members PRIMARY KEY (pool_id, user_id),
    CONSTRAINT fk_pool_members_pool_id FOREIGN KEY(pool_id) REFERENCES reader_pools (id) ON DELETE CASCADE,
    CONSTRAINT fk_pool_members_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_pool_members_user_id ON pool_members (user_id);

CREATE TABLE received_studies (
    state VARCHAR(32) NOT NULL,
    peer VARCHAR(64) NOT NULL,
    uid_digest BLOB NOT NULL,
    verdict VARCHAR(16),
    order_id VARCHAR(26),
    case_id VARCHAR(26),
    patient_id VARCHAR(26),
    prior_of VARCHAR(26),
    content BLOB,
    files INTEGER NOT NULL,
    imported INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    expected INTEGER,
    asked_at DATETIME,
    first_at DATETIME NOT NULL,
    last_at DATETIME NOT NULL,
    fault TEXT,
    decided_by VARCHAR(26),
    decided_at DATETIME,
    id VARCHAR(26) NOT NULL,
    CONSTRAINT pk_received_studies PRIMARY KEY (id),
    CONSTRAINT uq_received_studies_uid_digest UNIQUE (uid_digest),
    CONSTRAINT fk_received_studies_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_received_studies_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id),
    CONSTRAINT fk_received_studies_prior_of FOREIGN KEY(prior_of) REFERENCES patients (id),
    CONSTRAINT fk_received_studies_decided_by FOREIGN KEY(decided_by) REFERENCES users (id)
);

CREATE INDEX ix_received_studies_case_id ON received_studies (case_id);

CREATE INDEX ix_received_studies_order_id ON received_studies (order_id);

CREATE INDEX ix_received_studies_patient_id ON received_studies (patient_id);

CREATE INDEX ix_received_studies_prior_of ON received_studies (prior_of);

CREATE INDEX ix_received_studies_state_last_at ON received_studies (state, last_at);

CREATE TABLE studies (
    case_id VARCHAR(26) NOT NULL,
    patient_id VARCHAR(26) NOT NULL,
    uid_digest BLOB,
    accession_digest BLOB,
    tags BLOB,
    modality VARCHAR(16),
    body_part VARCHAR(16),
    created_at DATETIME NOT NULL,
    id VARCHAR(26) NOT NULL,
    CONSTRAINT pk_studies PRIMARY KEY (id),
    CONSTRAINT uq_studies_case_id_uid_digest UNIQUE (case_id, uid_digest),
    CONSTRAINT fk_studies_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_studies_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id)
);

CREATE INDEX ix_studies_accession_digest ON studies (accession_digest);

CREATE INDEX ix_studies_case_id ON studies (case_id);

CREATE INDEX ix_studies_created_at ON studies (created_at);

CREATE INDEX ix_studies_patient_id ON studies (patient_id);

CREATE TABLE images (
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
    removed_at DATETIME,
    removed_by VARCHAR(26),
    removal_reason VARCHAR(32),
    moved_to VARCHAR(26),
    id VARCHAR(26) NOT NULL,
    created_at DATETIME NOT NULL,
    created_by VARCHAR(26),
    CONSTRAINT pk_images PRIMARY KEY (id),
    CONSTRAINT uq_images_case_id_file UNIQUE (case_id, file),
    CONSTRAINT fk_images_study_id FOREIGN KEY(study_id) REFERENCES studies (id),
    CONSTRAINT fk_images_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_images_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id),
    CONSTRAINT fk_images_removed_by FOREIGN KEY(removed_by) REFERENCES users (id),
    CONSTRAINT fk_images_moved_to FOREIGN KEY(moved_to) REFERENCES images (id),
    CONSTRAINT fk_images_created_by FOREIGN KEY(created_by) REFERENCES users (id)
);

CREATE INDEX ix_images_case_id ON images (case_id);

CREATE INDEX ix_images_created_by_created_at ON images (created_by, created_at);

CREATE INDEX ix_images_patient_id ON images (patient_id);

CREATE INDEX ix_images_study_id ON images (study_id);

CREATE TABLE blobs (
    patient_id VARCHAR(26) NOT NULL,
    image_id VARCHAR(26) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    label VARCHAR(60) NOT NULL,
    file VARCHAR(64) NOT NULL,
    size INTEGER NOT NULL,
    created_at DATETIME NOT NULL,
    created_by VARCHAR(26),
    id VARCHAR(26) NOT NULL,
    CONSTRAINT pk_blobs PRIMARY KEY (id),
    CONSTRAINT uq_blobs_image_id_kind_label UNIQUE (image_id, kind, label),
    CONSTRAINT fk_blobs_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id),
    CONSTRAINT fk_blobs_image_id FOREIGN KEY(image_id) REFERENCES images (id),
    CONSTRAINT fk_blobs_created_by FOREIGN KEY(created_by) REFERENCES users (id)
);

CREATE INDEX ix_blobs_image_id ON blobs (image_id);

CREATE INDEX ix_blobs_patient_id ON blobs (patient_id);

CREATE TABLE jobs (
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
    id VARCHAR(26) NOT NULL,
    CONSTRAINT pk_jobs PRIMARY KEY (id),
    CONSTRAINT fk_jobs_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_jobs_image_id FOREIGN KEY(image_id) REFERENCES images (id)
);

CREATE INDEX ix_jobs_case ON jobs (case_id);

CREATE INDEX ix_jobs_failed ON jobs (created_at) WHERE state = 'failed';

CREATE INDEX ix_jobs_image_id ON jobs (image_id);

CREATE INDEX ix_jobs_open ON jobs (priority, id) WHERE state IN ('queued', 'running');

CREATE TABLE received_files (
    received_id VARCHAR(26) NOT NULL,
    state VARCHAR(32) NOT NULL,
    name VARCHAR(120) NOT NULL,
    instance_digest BLOB NOT NULL,
    image_id VARCHAR(26),
    fault TEXT,
    received_at DATETIME NOT NULL,
    id VARCHAR(26) NOT NULL,
    CONSTRAINT pk_received_files PRIMARY KEY (id),
    CONSTRAINT fk_received_files_received_id FOREIGN KEY(received_id) REFERENCES received_studies (id),
    CONSTRAINT uq_received_files_name UNIQUE (name),
    CONSTRAINT fk_received_files_image_id FOREIGN KEY(image_id) REFERENCES images (id)
);

CREATE INDEX ix_received_files_image_id ON received_files (image_id);

CREATE INDEX ix_received_files_instance_digest ON received_files (instance_digest);

CREATE INDEX ix_received_files_received_id ON received_files (received_id);

CREATE TABLE runs (
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
    id VARCHAR(26) NOT NULL,
    CONSTRAINT pk_runs PRIMARY KEY (id),
    CONSTRAINT fk_runs_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_runs_image_id FOREIGN KEY(image_id) REFERENCES images (id),
    CONSTRAINT fk_runs_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id)
);

CREATE INDEX ix_runs_case_id ON runs (case_id);

CREATE INDEX ix_runs_finished_at ON runs (finished_at);

CREATE INDEX ix_runs_image_id ON runs (image_id);

CREATE TABLE reports (
    case_id VARCHAR(26) NOT NULL,
    study_id VARCHAR(26) NOT NULL,
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
    id VARCHAR(26) NOT NULL,
    CONSTRAINT pk_reports PRIMARY KEY (id),
    CONSTRAINT fk_reports_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_reports_study_id FOREIGN KEY(study_id) REFERENCES studies (id),
    CONSTRAINT uq_reports_image_id UNIQUE (image_id),
    CONSTRAINT fk_reports_image_id FOREIGN KEY(image_id) REFERENCES images (id),
    CONSTRAINT fk_reports_run_id FOREIGN KEY(run_id) REFERENCES runs (id),
    CONSTRAINT fk_reports_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id),
    CONSTRAINT fk_reports_updated_by FOREIGN KEY(updated_by) REFERENCES users (id)
);

CREATE INDEX ix_reports_case_id ON reports (case_id);

CREATE INDEX ix_reports_of_period ON reports (created_at, study_id, id);

CREATE INDEX ix_reports_patient_id ON reports (patient_id);

CREATE UNIQUE INDEX ix_reports_study_id ON reports (study_id);

CREATE TABLE scores (
    run_id VARCHAR(26) NOT NULL,
    label VARCHAR(60) NOT NULL,
    score DOUBLE NOT NULL,
    probability DOUBLE,
    threshold DOUBLE NOT NULL,
    positive BOOLEAN NOT NULL,
    asserted BOOLEAN NOT NULL,
    CONSTRAINT pk_scores PRIMARY KEY (run_id, label),
    CONSTRAINT fk_scores_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);

CREATE TABLE deliveries (
    report_id VARCHAR(26) NOT NULL,
    number INTEGER NOT NULL,
    form VARCHAR(16) NOT NULL,
    user_id VARCHAR(26) NOT NULL,
    at DATETIME NOT NULL,
    notified VARCHAR(32),
    notified_at DATETIME,
    notice_id VARCHAR(26),
    id VARCHAR(26) NOT NULL,
    CONSTRAINT pk_deliveries PRIMARY KEY (id),
    CONSTRAINT uq_deliveries_report_id_number_form_user_id UNIQUE (report_id, number, form, user_id),
    CONSTRAINT fk_deliveries_report_id FOREIGN KEY(report_id) REFERENCES reports (id),
    CONSTRAINT fk_deliveries_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

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

CREATE TABLE outbox (
    report_id VARCHAR(26) NOT NULL,
    case_id VARCHAR(26) NOT NULL,
    patient_id VARCHAR(26) NOT NULL,
    number INTEGER NOT NULL,
    withdrawal BOOLEAN NOT NULL,
    destination VARCHAR(40) NOT NULL,
    form VARCHAR(16) NOT NULL,
    state VARCHAR(32) NOT NULL,
    tries INTEGER NOT NULL,
    next_at DATETIME,
    status BLOB,
    created_at DATETIME NOT NULL,
    settled_at DATETIME,
    id VARCHAR(26) NOT NULL,
    CONSTRAINT pk_outbox PRIMARY KEY (id),
    CONSTRAINT uq_outbox_report_id_number_withdrawal_destination_form UNIQUE (report_id, number, withdrawal, destination, form),
    CONSTRAINT fk_outbox_report_id FOREIGN KEY(report_id) REFERENCES reports (id),
    CONSTRAINT fk_outbox_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_outbox_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id)
);

CREATE INDEX ix_outbox_case_id ON outbox (case_id);

CREATE INDEX ix_outbox_patient_id ON outbox (patient_id);

CREATE INDEX ix_outbox_state_next_at ON outbox (state, next_at);

CREATE UNIQUE INDEX uq_outbox_sending ON outbox (destination) WHERE state = 'sending';

CREATE TABLE report_versions (
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
    id VARCHAR(26) NOT NULL,
    CONSTRAINT pk_report_versions PRIMARY KEY (id),
    CONSTRAINT uq_report_versions_report_id_number UNIQUE (report_id, number),
    CONSTRAINT fk_report_versions_report_id FOREIGN KEY(report_id) REFERENCES reports (id),
    CONSTRAINT fk_report_versions_case_id FOREIGN KEY(case_id) REFERENCES cases (id),
    CONSTRAINT fk_report_versions_patient_id FOREIGN KEY(patient_id) REFERENCES patients (id),
    CONSTRAINT fk_report_versions_replaces FOREIGN KEY(replaces) REFERENCES report_versions (id)
);

CREATE INDEX ix_report_versions_case_id ON report_versions (case_id);

CREATE INDEX ix_report_versions_of_period ON report_versions (created_at, report_id, number, replaces, corrected, id);

CREATE INDEX ix_report_versions_patient_id ON report_versions (patient_id);

CREATE TABLE signatures (
    version_id VARCHAR(26) NOT NULL,
    signed_at DATETIME NOT NULL,
    user_id VARCHAR(26) NOT NULL,
    name VARCHAR(120) NOT NULL,
    title VARCHAR(60) NOT NULL,
    registration VARCHAR(40) NOT NULL,
    method VARCHAR(32) NOT NULL,
    digest VARCHAR(64) NOT NULL,
    CONSTRAINT pk_signatures PRIMARY KEY (version_id),
    CONSTRAINT fk_signatures_version_id FOREIGN KEY(version_id) REFERENCES report_versions (id),
    CONSTRAINT fk_signatures_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_signatures_user_id ON signatures (user_id);

CREATE TABLE withdrawals (
    version_id VARCHAR(26) NOT NULL,
    why VARCHAR(32) NOT NULL,
    statement BLOB NOT NULL,
    withdrawn_at DATETIME NOT NULL,
    user_id VARCHAR(26) NOT NULL,
    name VARCHAR(120) NOT NULL,
    title VARCHAR(60) NOT NULL,
    registration VARCHAR(40) NOT NULL,
    method VARCHAR(32) NOT NULL,
    digest VARCHAR(64) NOT NULL,
    CONSTRAINT pk_withdrawals PRIMARY KEY (version_id),
    CONSTRAINT fk_withdrawals_version_id FOREIGN KEY(version_id) REFERENCES report_versions (id),
    CONSTRAINT fk_withdrawals_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_withdrawals_user_id ON withdrawals (user_id);

CREATE TRIGGER audit_delete_refused BEFORE DELETE ON audit FOR EACH ROW WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'the audit trail is only added to'); END;

CREATE TRIGGER audit_update_refused BEFORE UPDATE ON audit FOR EACH ROW WHEN NOT (NEW.seq IS OLD.seq AND NEW.at IS OLD.at AND NEW.action IS OLD.action AND NEW.user_id IS OLD.user_id AND NEW.case_id IS OLD.case_id AND NEW.patient_id IS OLD.patient_id AND NEW.digest IS OLD.digest AND NEW.chain IS OLD.chain AND NEW.content IS NULL AND NEW.salt IS NULL) BEGIN SELECT RAISE(ABORT, 'the audit trail is only added to'); END;

CREATE TRIGGER report_versions_update_refused BEFORE UPDATE ON report_versions FOR EACH ROW WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'a signed report is never changed'); END;

CREATE TRIGGER report_versions_delete_refused BEFORE DELETE ON report_versions FOR EACH ROW WHEN NOT EXISTS (SELECT 1 FROM patients WHERE id = OLD.patient_id AND key IS NULL) BEGIN SELECT RAISE(ABORT, 'a signed report is never changed'); END;

CREATE TRIGGER signatures_update_refused BEFORE UPDATE ON signatures FOR EACH ROW WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'a signed report is never changed'); END;

CREATE TRIGGER signatures_delete_refused BEFORE DELETE ON signatures FOR EACH ROW WHEN NOT EXISTS (SELECT 1 FROM patients WHERE id = (SELECT patient_id FROM report_versions WHERE id = OLD.version_id) AND key IS NULL) BEGIN SELECT RAISE(ABORT, 'a signed report is never changed'); END;

CREATE TRIGGER withdrawals_update_refused BEFORE UPDATE ON withdrawals FOR EACH ROW WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'a withdrawal of a report is never changed'); END;

CREATE TRIGGER withdrawals_delete_refused BEFORE DELETE ON withdrawals FOR EACH ROW WHEN NOT EXISTS (SELECT 1 FROM patients WHERE id = (SELECT patient_id FROM report_versions WHERE id = OLD.version_id) AND key IS NULL) BEGIN SELECT RAISE(ABORT, 'a withdrawal of a report is never changed'); END;

CREATE TRIGGER patients_update_refused BEFORE UPDATE ON patients FOR EACH ROW WHEN OLD.key IS NOT NULL AND NEW.key IS NULL AND (NEW.erase_after IS NULL OR NEW.erase_after > strftime('%Y-%m-%d %H:%M:%f', 'now')) AND EXISTS (SELECT 1 FROM report_versions WHERE patient_id = OLD.id) BEGIN SELECT RAISE(ABORT, 'a signed report is kept by law until patients.erase_after'); END;

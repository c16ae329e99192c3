--
-- PostgreSQL database dump
--

\restrict 32l4bghxjfpfEAJ1LqXafSm3zfGcsBdTewEndiqRbD4FVtUQiM3za4TFoDc6UKU

-- Dumped from database version 18.4
-- Dumped by pg_dump version 18.4

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: ledger; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA ledger;


--
-- Name: linkage; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA linkage;


--
-- Name: delivered_at(text, text, integer, bigint); Type: FUNCTION; Schema: ledger; Owner: -
--

CREATE FUNCTION ledger.delivered_at(of_system text, of_stream text, of_partition integer, of_offset bigint) RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    AS $$
  SELECT min(applied_at)
  FROM ledger.receipts_of(of_system, of_stream, of_partition, of_offset)
$$;


--
-- Name: reached(text, text, integer); Type: FUNCTION; Schema: ledger; Owner: -
--

CREATE FUNCTION ledger.reached(of_system text, of_stream text, of_partition integer) RETURNS bigint
    LANGUAGE sql STABLE
    AS $$
  SELECT max("end") FROM ledger.event_receipt
  WHERE system = of_system AND stream = of_stream AND partition = of_partition AND NOT is_replay
$$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: event_receipt; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_receipt (
    system text NOT NULL,
    stream text NOT NULL,
    partition integer NOT NULL,
    start bigint NOT NULL,
    "end" bigint NOT NULL,
    delivered int8multirange NOT NULL,
    view text NOT NULL,
    rows bigint NOT NULL,
    digest text NOT NULL,
    previous text NOT NULL,
    chain text NOT NULL,
    applied_at timestamp with time zone NOT NULL,
    cluster_id text NOT NULL,
    is_replay boolean NOT NULL,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    proof text
);


--
-- Name: receipts_of(text, text, integer, bigint); Type: FUNCTION; Schema: ledger; Owner: -
--

CREATE FUNCTION ledger.receipts_of(of_system text, of_stream text, of_partition integer, of_offset bigint) RETURNS SETOF ledger.event_receipt
    LANGUAGE plpgsql STABLE COST 1000 ROWS 4 PARALLEL SAFE
    AS $$
DECLARE
  bits integer := 0;
BEGIN
  LOOP
    SELECT ledger.span_class(receipt.delivered) INTO bits
    FROM ledger.event_receipt AS receipt
    WHERE receipt.system = of_system AND receipt.stream = of_stream
      AND receipt.partition = of_partition AND NOT isempty(receipt.delivered)
      AND ledger.span_class(receipt.delivered) > bits
    ORDER BY ledger.span_class(receipt.delivered) LIMIT 1;
    EXIT WHEN NOT FOUND;
    RETURN QUERY
    SELECT receipt.* FROM ledger.event_receipt AS receipt
    WHERE receipt.system = of_system AND receipt.stream = of_stream
      AND receipt.partition = of_partition AND NOT isempty(receipt.delivered)
      AND ledger.span_class(receipt.delivered) = bits
      AND upper(receipt.delivered) > of_offset
      AND upper(receipt.delivered) <= of_offset + (1::bigint << least(bits, 61))
      AND receipt.delivered @> of_offset;
  END LOOP;
END
$$;


--
-- Name: span_class(int8multirange); Type: FUNCTION; Schema: ledger; Owner: -
--

CREATE FUNCTION ledger.span_class(of_delivered int8multirange) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN length(ltrim((((upper(of_delivered) - lower(of_delivered)))::bit(64))::text, '0'::text));


--
-- Name: event_erasure; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_erasure (
    subject_digest text NOT NULL,
    municipality_code text NOT NULL,
    state text NOT NULL,
    streams text[] NOT NULL,
    partitions text[] NOT NULL,
    offsets text[] NOT NULL,
    at timestamp with time zone NOT NULL,
    operator text NOT NULL,
    reason text NOT NULL,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: erasure; Type: VIEW; Schema: ledger; Owner: -
--

CREATE VIEW ledger.erasure AS
 SELECT DISTINCT ON (subject_digest) subject_digest,
    municipality_code,
    state,
    streams,
    partitions,
    offsets,
    at,
    operator,
    reason
   FROM ledger.event_erasure
  ORDER BY subject_digest, log_offset DESC;


--
-- Name: event_application_received; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_application_received (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: event_calendar_milestone; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_calendar_milestone (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: event_child_allowance_receipt; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_child_allowance_receipt (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: event_child_childcare_support_certification; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_child_childcare_support_certification (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer CONSTRAINT event_child_childcare_support_certificat_log_partition_not_null NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() CONSTRAINT event_child_childcare_support_certif_renkei_applied_at_not_null NOT NULL
);


--
-- Name: event_child_rearing_allowance_receipt; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_child_rearing_allowance_receipt (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() CONSTRAINT event_child_rearing_allowance_receip_renkei_applied_at_not_null NOT NULL
);


--
-- Name: event_corporate_resident_tax_levy; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_corporate_resident_tax_levy (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: event_disability_welfare_certificate; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_disability_welfare_certificate (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: event_electoral_roll_registration; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_electoral_roll_registration (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: event_fixed_asset_tax_levy; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_fixed_asset_tax_levy (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: event_health_management_vaccination; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_health_management_vaccination (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: event_household; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_household (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: event_individual_number; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_individual_number (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: event_individual_resident_tax_assessment; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_individual_resident_tax_assessment (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() CONSTRAINT event_individual_resident_tax_assess_renkei_applied_at_not_null NOT NULL
);


--
-- Name: event_late_elderly_medical_qualification; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_late_elderly_medical_qualification (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() CONSTRAINT event_late_elderly_medical_qualifica_renkei_applied_at_not_null NOT NULL
);


--
-- Name: event_light_vehicle_tax_vehicle; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_light_vehicle_tax_vehicle (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: event_long_term_care_insurance_care_level; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_long_term_care_insurance_care_level (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer CONSTRAINT event_long_term_care_insurance_care_leve_log_partition_not_null NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() CONSTRAINT event_long_term_care_insurance_care__renkei_applied_at_not_null NOT NULL
);


--
-- Name: event_long_term_care_insurance_qualification; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_long_term_care_insurance_qualification (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer CONSTRAINT event_long_term_care_insurance_qualifica_log_partition_not_null NOT NULL,
    log_offset bigint CONSTRAINT event_long_term_care_insurance_qualificatio_log_offset_not_null NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() CONSTRAINT event_long_term_care_insurance_quali_renkei_applied_at_not_null NOT NULL
);


--
-- Name: event_national_health_insurance_qualification; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_national_health_insurance_qualification (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer CONSTRAINT event_national_health_insurance_qualific_log_partition_not_null NOT NULL,
    log_offset bigint CONSTRAINT event_national_health_insurance_qualificati_log_offset_not_null NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() CONSTRAINT event_national_health_insurance_qual_renkei_applied_at_not_null NOT NULL
);


--
-- Name: event_national_pension_qualification; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_national_pension_qualification (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: event_nonresident; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_nonresident (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: event_protection; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_protection (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: event_public_assistance_receipt; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_public_assistance_receipt (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: event_resident; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_resident (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: event_school_enrollment_enrollment; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_school_enrollment_enrollment (
    municipality_code text,
    subject_id text,
    version integer,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: event; Type: VIEW; Schema: ledger; Owner: -
--

CREATE VIEW ledger.event AS
 SELECT 'application.received'::text AS stream,
    event_application_received.event_id,
    event_application_received.event_type,
    event_application_received.nature,
    event_application_received.change_id,
    event_application_received.change_size,
    event_application_received.change_index,
    event_application_received.municipality_code,
    event_application_received.subject_id,
    event_application_received.version,
    event_application_received.processed_at,
    event_application_received.source,
    event_application_received.cancels,
    event_application_received.log_partition,
    event_application_received.log_offset
   FROM ledger.event_application_received
UNION ALL
 SELECT 'calendar.milestone'::text AS stream,
    event_calendar_milestone.event_id,
    event_calendar_milestone.event_type,
    event_calendar_milestone.nature,
    event_calendar_milestone.change_id,
    event_calendar_milestone.change_size,
    event_calendar_milestone.change_index,
    event_calendar_milestone.municipality_code,
    event_calendar_milestone.subject_id,
    event_calendar_milestone.version,
    event_calendar_milestone.processed_at,
    event_calendar_milestone.source,
    event_calendar_milestone.cancels,
    event_calendar_milestone.log_partition,
    event_calendar_milestone.log_offset
   FROM ledger.event_calendar_milestone
UNION ALL
 SELECT 'child_allowance.receipt'::text AS stream,
    event_child_allowance_receipt.event_id,
    event_child_allowance_receipt.event_type,
    event_child_allowance_receipt.nature,
    event_child_allowance_receipt.change_id,
    event_child_allowance_receipt.change_size,
    event_child_allowance_receipt.change_index,
    event_child_allowance_receipt.municipality_code,
    event_child_allowance_receipt.subject_id,
    event_child_allowance_receipt.version,
    event_child_allowance_receipt.processed_at,
    event_child_allowance_receipt.source,
    event_child_allowance_receipt.cancels,
    event_child_allowance_receipt.log_partition,
    event_child_allowance_receipt.log_offset
   FROM ledger.event_child_allowance_receipt
UNION ALL
 SELECT 'child_childcare_support.certification'::text AS stream,
    event_child_childcare_support_certification.event_id,
    event_child_childcare_support_certification.event_type,
    event_child_childcare_support_certification.nature,
    event_child_childcare_support_certification.change_id,
    event_child_childcare_support_certification.change_size,
    event_child_childcare_support_certification.change_index,
    event_child_childcare_support_certification.municipality_code,
    event_child_childcare_support_certification.subject_id,
    event_child_childcare_support_certification.version,
    event_child_childcare_support_certification.processed_at,
    event_child_childcare_support_certification.source,
    event_child_childcare_support_certification.cancels,
    event_child_childcare_support_certification.log_partition,
    event_child_childcare_support_certification.log_offset
   FROM ledger.event_child_childcare_support_certification
UNION ALL
 SELECT 'child_rearing_allowance.receipt'::text AS stream,
    event_child_rearing_allowance_receipt.event_id,
    event_child_rearing_allowance_receipt.event_type,
    event_child_rearing_allowance_receipt.nature,
    event_child_rearing_allowance_receipt.change_id,
    event_child_rearing_allowance_receipt.change_size,
    event_child_rearing_allowance_receipt.change_index,
    event_child_rearing_allowance_receipt.municipality_code,
    event_child_rearing_allowance_receipt.subject_id,
    event_child_rearing_allowance_receipt.version,
    event_child_rearing_allowance_receipt.processed_at,
    event_child_rearing_allowance_receipt.source,
    event_child_rearing_allowance_receipt.cancels,
    event_child_rearing_allowance_receipt.log_partition,
    event_child_rearing_allowance_receipt.log_offset
   FROM ledger.event_child_rearing_allowance_receipt
UNION ALL
 SELECT 'corporate_resident_tax.levy'::text AS stream,
    event_corporate_resident_tax_levy.event_id,
    event_corporate_resident_tax_levy.event_type,
    event_corporate_resident_tax_levy.nature,
    event_corporate_resident_tax_levy.change_id,
    event_corporate_resident_tax_levy.change_size,
    event_corporate_resident_tax_levy.change_index,
    event_corporate_resident_tax_levy.municipality_code,
    event_corporate_resident_tax_levy.subject_id,
    event_corporate_resident_tax_levy.version,
    event_corporate_resident_tax_levy.processed_at,
    event_corporate_resident_tax_levy.source,
    event_corporate_resident_tax_levy.cancels,
    event_corporate_resident_tax_levy.log_partition,
    event_corporate_resident_tax_levy.log_offset
   FROM ledger.event_corporate_resident_tax_levy
UNION ALL
 SELECT 'disability_welfare.certificate'::text AS stream,
    event_disability_welfare_certificate.event_id,
    event_disability_welfare_certificate.event_type,
    event_disability_welfare_certificate.nature,
    event_disability_welfare_certificate.change_id,
    event_disability_welfare_certificate.change_size,
    event_disability_welfare_certificate.change_index,
    event_disability_welfare_certificate.municipality_code,
    event_disability_welfare_certificate.subject_id,
    event_disability_welfare_certificate.version,
    event_disability_welfare_certificate.processed_at,
    event_disability_welfare_certificate.source,
    event_disability_welfare_certificate.cancels,
    event_disability_welfare_certificate.log_partition,
    event_disability_welfare_certificate.log_offset
   FROM ledger.event_disability_welfare_certificate
UNION ALL
 SELECT 'electoral_roll.registration'::text AS stream,
    event_electoral_roll_registration.event_id,
    event_electoral_roll_registration.event_type,
    event_electoral_roll_registration.nature,
    event_electoral_roll_registration.change_id,
    event_electoral_roll_registration.change_size,
    event_electoral_roll_registration.change_index,
    event_electoral_roll_registration.municipality_code,
    event_electoral_roll_registration.subject_id,
    event_electoral_roll_registration.version,
    event_electoral_roll_registration.processed_at,
    event_electoral_roll_registration.source,
    event_electoral_roll_registration.cancels,
    event_electoral_roll_registration.log_partition,
    event_electoral_roll_registration.log_offset
   FROM ledger.event_electoral_roll_registration
UNION ALL
 SELECT 'fixed_asset_tax.levy'::text AS stream,
    event_fixed_asset_tax_levy.event_id,
    event_fixed_asset_tax_levy.event_type,
    event_fixed_asset_tax_levy.nature,
    event_fixed_asset_tax_levy.change_id,
    event_fixed_asset_tax_levy.change_size,
    event_fixed_asset_tax_levy.change_index,
    event_fixed_asset_tax_levy.municipality_code,
    event_fixed_asset_tax_levy.subject_id,
    event_fixed_asset_tax_levy.version,
    event_fixed_asset_tax_levy.processed_at,
    event_fixed_asset_tax_levy.source,
    event_fixed_asset_tax_levy.cancels,
    event_fixed_asset_tax_levy.log_partition,
    event_fixed_asset_tax_levy.log_offset
   FROM ledger.event_fixed_asset_tax_levy
UNION ALL
 SELECT 'health_management.vaccination'::text AS stream,
    event_health_management_vaccination.event_id,
    event_health_management_vaccination.event_type,
    event_health_management_vaccination.nature,
    event_health_management_vaccination.change_id,
    event_health_management_vaccination.change_size,
    event_health_management_vaccination.change_index,
    event_health_management_vaccination.municipality_code,
    event_health_management_vaccination.subject_id,
    event_health_management_vaccination.version,
    event_health_management_vaccination.processed_at,
    event_health_management_vaccination.source,
    event_health_management_vaccination.cancels,
    event_health_management_vaccination.log_partition,
    event_health_management_vaccination.log_offset
   FROM ledger.event_health_management_vaccination
UNION ALL
 SELECT 'household'::text AS stream,
    event_household.event_id,
    event_household.event_type,
    event_household.nature,
    event_household.change_id,
    event_household.change_size,
    event_household.change_index,
    event_household.municipality_code,
    event_household.subject_id,
    event_household.version,
    event_household.processed_at,
    event_household.source,
    event_household.cancels,
    event_household.log_partition,
    event_household.log_offset
   FROM ledger.event_household
UNION ALL
 SELECT 'individual_number'::text AS stream,
    event_individual_number.event_id,
    event_individual_number.event_type,
    event_individual_number.nature,
    event_individual_number.change_id,
    event_individual_number.change_size,
    event_individual_number.change_index,
    event_individual_number.municipality_code,
    event_individual_number.subject_id,
    event_individual_number.version,
    event_individual_number.processed_at,
    event_individual_number.source,
    event_individual_number.cancels,
    event_individual_number.log_partition,
    event_individual_number.log_offset
   FROM ledger.event_individual_number
UNION ALL
 SELECT 'individual_resident_tax.assessment'::text AS stream,
    event_individual_resident_tax_assessment.event_id,
    event_individual_resident_tax_assessment.event_type,
    event_individual_resident_tax_assessment.nature,
    event_individual_resident_tax_assessment.change_id,
    event_individual_resident_tax_assessment.change_size,
    event_individual_resident_tax_assessment.change_index,
    event_individual_resident_tax_assessment.municipality_code,
    event_individual_resident_tax_assessment.subject_id,
    event_individual_resident_tax_assessment.version,
    event_individual_resident_tax_assessment.processed_at,
    event_individual_resident_tax_assessment.source,
    event_individual_resident_tax_assessment.cancels,
    event_individual_resident_tax_assessment.log_partition,
    event_individual_resident_tax_assessment.log_offset
   FROM ledger.event_individual_resident_tax_assessment
UNION ALL
 SELECT 'late_elderly_medical.qualification'::text AS stream,
    event_late_elderly_medical_qualification.event_id,
    event_late_elderly_medical_qualification.event_type,
    event_late_elderly_medical_qualification.nature,
    event_late_elderly_medical_qualification.change_id,
    event_late_elderly_medical_qualification.change_size,
    event_late_elderly_medical_qualification.change_index,
    event_late_elderly_medical_qualification.municipality_code,
    event_late_elderly_medical_qualification.subject_id,
    event_late_elderly_medical_qualification.version,
    event_late_elderly_medical_qualification.processed_at,
    event_late_elderly_medical_qualification.source,
    event_late_elderly_medical_qualification.cancels,
    event_late_elderly_medical_qualification.log_partition,
    event_late_elderly_medical_qualification.log_offset
   FROM ledger.event_late_elderly_medical_qualification
UNION ALL
 SELECT 'light_vehicle_tax.vehicle'::text AS stream,
    event_light_vehicle_tax_vehicle.event_id,
    event_light_vehicle_tax_vehicle.event_type,
    event_light_vehicle_tax_vehicle.nature,
    event_light_vehicle_tax_vehicle.change_id,
    event_light_vehicle_tax_vehicle.change_size,
    event_light_vehicle_tax_vehicle.change_index,
    event_light_vehicle_tax_vehicle.municipality_code,
    event_light_vehicle_tax_vehicle.subject_id,
    event_light_vehicle_tax_vehicle.version,
    event_light_vehicle_tax_vehicle.processed_at,
    event_light_vehicle_tax_vehicle.source,
    event_light_vehicle_tax_vehicle.cancels,
    event_light_vehicle_tax_vehicle.log_partition,
    event_light_vehicle_tax_vehicle.log_offset
   FROM ledger.event_light_vehicle_tax_vehicle
UNION ALL
 SELECT 'long_term_care_insurance.care_level'::text AS stream,
    event_long_term_care_insurance_care_level.event_id,
    event_long_term_care_insurance_care_level.event_type,
    event_long_term_care_insurance_care_level.nature,
    event_long_term_care_insurance_care_level.change_id,
    event_long_term_care_insurance_care_level.change_size,
    event_long_term_care_insurance_care_level.change_index,
    event_long_term_care_insurance_care_level.municipality_code,
    event_long_term_care_insurance_care_level.subject_id,
    event_long_term_care_insurance_care_level.version,
    event_long_term_care_insurance_care_level.processed_at,
    event_long_term_care_insurance_care_level.source,
    event_long_term_care_insurance_care_level.cancels,
    event_long_term_care_insurance_care_level.log_partition,
    event_long_term_care_insurance_care_level.log_offset
   FROM ledger.event_long_term_care_insurance_care_level
UNION ALL
 SELECT 'long_term_care_insurance.qualification'::text AS stream,
    event_long_term_care_insurance_qualification.event_id,
    event_long_term_care_insurance_qualification.event_type,
    event_long_term_care_insurance_qualification.nature,
    event_long_term_care_insurance_qualification.change_id,
    event_long_term_care_insurance_qualification.change_size,
    event_long_term_care_insurance_qualification.change_index,
    event_long_term_care_insurance_qualification.municipality_code,
    event_long_term_care_insurance_qualification.subject_id,
    event_long_term_care_insurance_qualification.version,
    event_long_term_care_insurance_qualification.processed_at,
    event_long_term_care_insurance_qualification.source,
    event_long_term_care_insurance_qualification.cancels,
    event_long_term_care_insurance_qualification.log_partition,
    event_long_term_care_insurance_qualification.log_offset
   FROM ledger.event_long_term_care_insurance_qualification
UNION ALL
 SELECT 'national_health_insurance.qualification'::text AS stream,
    event_national_health_insurance_qualification.event_id,
    event_national_health_insurance_qualification.event_type,
    event_national_health_insurance_qualification.nature,
    event_national_health_insurance_qualification.change_id,
    event_national_health_insurance_qualification.change_size,
    event_national_health_insurance_qualification.change_index,
    event_national_health_insurance_qualification.municipality_code,
    event_national_health_insurance_qualification.subject_id,
    event_national_health_insurance_qualification.version,
    event_national_health_insurance_qualification.processed_at,
    event_national_health_insurance_qualification.source,
    event_national_health_insurance_qualification.cancels,
    event_national_health_insurance_qualification.log_partition,
    event_national_health_insurance_qualification.log_offset
   FROM ledger.event_national_health_insurance_qualification
UNION ALL
 SELECT 'national_pension.qualification'::text AS stream,
    event_national_pension_qualification.event_id,
    event_national_pension_qualification.event_type,
    event_national_pension_qualification.nature,
    event_national_pension_qualification.change_id,
    event_national_pension_qualification.change_size,
    event_national_pension_qualification.change_index,
    event_national_pension_qualification.municipality_code,
    event_national_pension_qualification.subject_id,
    event_national_pension_qualification.version,
    event_national_pension_qualification.processed_at,
    event_national_pension_qualification.source,
    event_national_pension_qualification.cancels,
    event_national_pension_qualification.log_partition,
    event_national_pension_qualification.log_offset
   FROM ledger.event_national_pension_qualification
UNION ALL
 SELECT 'nonresident'::text AS stream,
    event_nonresident.event_id,
    event_nonresident.event_type,
    event_nonresident.nature,
    event_nonresident.change_id,
    event_nonresident.change_size,
    event_nonresident.change_index,
    event_nonresident.municipality_code,
    event_nonresident.subject_id,
    event_nonresident.version,
    event_nonresident.processed_at,
    event_nonresident.source,
    event_nonresident.cancels,
    event_nonresident.log_partition,
    event_nonresident.log_offset
   FROM ledger.event_nonresident
UNION ALL
 SELECT 'protection'::text AS stream,
    event_protection.event_id,
    event_protection.event_type,
    event_protection.nature,
    event_protection.change_id,
    event_protection.change_size,
    event_protection.change_index,
    event_protection.municipality_code,
    event_protection.subject_id,
    event_protection.version,
    event_protection.processed_at,
    event_protection.source,
    event_protection.cancels,
    event_protection.log_partition,
    event_protection.log_offset
   FROM ledger.event_protection
UNION ALL
 SELECT 'public_assistance.receipt'::text AS stream,
    event_public_assistance_receipt.event_id,
    event_public_assistance_receipt.event_type,
    event_public_assistance_receipt.nature,
    event_public_assistance_receipt.change_id,
    event_public_assistance_receipt.change_size,
    event_public_assistance_receipt.change_index,
    event_public_assistance_receipt.municipality_code,
    event_public_assistance_receipt.subject_id,
    event_public_assistance_receipt.version,
    event_public_assistance_receipt.processed_at,
    event_public_assistance_receipt.source,
    event_public_assistance_receipt.cancels,
    event_public_assistance_receipt.log_partition,
    event_public_assistance_receipt.log_offset
   FROM ledger.event_public_assistance_receipt
UNION ALL
 SELECT 'resident'::text AS stream,
    event_resident.event_id,
    event_resident.event_type,
    event_resident.nature,
    event_resident.change_id,
    event_resident.change_size,
    event_resident.change_index,
    event_resident.municipality_code,
    event_resident.subject_id,
    event_resident.version,
    event_resident.processed_at,
    event_resident.source,
    event_resident.cancels,
    event_resident.log_partition,
    event_resident.log_offset
   FROM ledger.event_resident
UNION ALL
 SELECT 'school_enrollment.enrollment'::text AS stream,
    event_school_enrollment_enrollment.event_id,
    event_school_enrollment_enrollment.event_type,
    event_school_enrollment_enrollment.nature,
    event_school_enrollment_enrollment.change_id,
    event_school_enrollment_enrollment.change_size,
    event_school_enrollment_enrollment.change_index,
    event_school_enrollment_enrollment.municipality_code,
    event_school_enrollment_enrollment.subject_id,
    event_school_enrollment_enrollment.version,
    event_school_enrollment_enrollment.processed_at,
    event_school_enrollment_enrollment.source,
    event_school_enrollment_enrollment.cancels,
    event_school_enrollment_enrollment.log_partition,
    event_school_enrollment_enrollment.log_offset
   FROM ledger.event_school_enrollment_enrollment;


--
-- Name: event_custody; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_custody (
    act text NOT NULL,
    at timestamp with time zone NOT NULL,
    operator text NOT NULL,
    before timestamp with time zone,
    receipts bigint NOT NULL,
    digest text NOT NULL,
    proof text NOT NULL,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: event_exception; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_exception (
    system text NOT NULL,
    stream text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    subject text NOT NULL,
    event_id text,
    state text NOT NULL,
    code text NOT NULL,
    attempts integer NOT NULL,
    at timestamp with time zone NOT NULL,
    note text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    since timestamp with time zone,
    operator text
);


--
-- Name: event_operation; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_operation (
    system text NOT NULL,
    stream text NOT NULL,
    partition integer,
    state text NOT NULL,
    operator text,
    at timestamp with time zone NOT NULL,
    code text,
    "offset" bigint,
    note text,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: event_renkei_position; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_renkei_position (
    stream text NOT NULL,
    partition integer NOT NULL,
    cluster_id text NOT NULL,
    topic text NOT NULL,
    "offset" bigint NOT NULL,
    last_event_id text,
    receipt jsonb NOT NULL,
    applied_at timestamp with time zone NOT NULL
)
WITH (fillfactor='50');


--
-- Name: event_renkei_view; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_renkei_view (
    stream text NOT NULL,
    fingerprint text NOT NULL,
    edition bigint NOT NULL,
    stands jsonb NOT NULL,
    since timestamp with time zone NOT NULL
);


--
-- Name: event_subscription; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_subscription (
    system text NOT NULL,
    sequence integer NOT NULL,
    text text NOT NULL,
    digest text NOT NULL,
    applied_by text NOT NULL,
    applied_at timestamp with time zone NOT NULL,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: event_view; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.event_view (
    fingerprint text NOT NULL,
    system text NOT NULL,
    system_ja text NOT NULL,
    stream text NOT NULL,
    stream_ja text NOT NULL,
    schema_version integer NOT NULL,
    columns_name text[] NOT NULL,
    columns_path text[] NOT NULL,
    columns_ja text[] NOT NULL,
    columns_sensitivity text[] NOT NULL,
    columns_mask text[] NOT NULL,
    event_types text[] NOT NULL,
    conditions text[] NOT NULL,
    suppression text NOT NULL,
    mode text NOT NULL,
    legal_basis text NOT NULL,
    number_use text NOT NULL,
    purpose text NOT NULL,
    approver text NOT NULL,
    approved_on date NOT NULL,
    expires_on date NOT NULL,
    statement text NOT NULL,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: exception; Type: VIEW; Schema: ledger; Owner: -
--

CREATE VIEW ledger.exception AS
 SELECT DISTINCT ON (system, stream, partition, "offset") system,
    stream,
    partition,
    "offset",
    subject,
    event_id,
    state,
    code,
    attempts,
    at,
    note,
    (state = ANY (ARRAY['PARKED'::text, 'WAITING'::text, 'RETRY'::text])) AS is_open,
    COALESCE(since, at) AS since
   FROM ledger.event_exception
  ORDER BY system, stream, partition, "offset", log_offset DESC;


--
-- Name: operation; Type: VIEW; Schema: ledger; Owner: -
--

CREATE VIEW ledger.operation AS
 SELECT DISTINCT ON (system, stream, partition) system,
    stream,
    partition,
    state,
    operator,
    at,
    code,
    "offset",
    note
   FROM ledger.event_operation
  ORDER BY system, stream, partition, log_offset DESC;


--
-- Name: pruned; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.pruned (
    log_partition integer NOT NULL,
    below bigint NOT NULL,
    before timestamp with time zone NOT NULL,
    receipts bigint NOT NULL
);


--
-- Name: pruned_event; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.pruned_event (
    stream text NOT NULL,
    partition integer NOT NULL,
    below bigint NOT NULL
);


--
-- Name: pruned_head; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.pruned_head (
    system text NOT NULL,
    stream text NOT NULL,
    partition integer NOT NULL,
    chain text NOT NULL,
    "end" bigint NOT NULL
);


--
-- Name: receipt; Type: VIEW; Schema: ledger; Owner: -
--

CREATE VIEW ledger.receipt AS
 SELECT DISTINCT ON (system, stream, partition, chain) system,
    stream,
    partition,
    start,
    "end",
    delivered,
    view,
    rows,
    digest,
    previous,
    chain,
    applied_at,
    cluster_id,
    is_replay
   FROM ledger.event_receipt
  ORDER BY system, stream, partition, chain, log_partition, log_offset;


--
-- Name: view; Type: VIEW; Schema: ledger; Owner: -
--

CREATE VIEW ledger.view AS
 SELECT DISTINCT ON (fingerprint) fingerprint,
    system,
    system_ja,
    stream,
    stream_ja,
    schema_version,
    columns_name,
    columns_path,
    columns_ja,
    columns_sensitivity,
    columns_mask,
    event_types,
    conditions,
    suppression,
    mode,
    legal_basis,
    number_use,
    purpose,
    approver,
    approved_on,
    expires_on,
    statement
   FROM ledger.event_view
  ORDER BY fingerprint, log_partition, log_offset;


--
-- Name: household; Type: TABLE; Schema: linkage; Owner: -
--

CREATE TABLE linkage.household (
    municipality_code text NOT NULL,
    subject_id text NOT NULL,
    version integer NOT NULL,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    reason text,
    effective_date date,
    effective_date_unknown boolean,
    effective_date_text text,
    notified_on date,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    head_subject_id text,
    members_subject_id text[],
    members_relationship text[],
    member_count integer,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: COLUMN household.municipality_code; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.municipality_code IS '市区町村コード (renkei)';


--
-- Name: COLUMN household.subject_id; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.subject_id IS '世帯番号 (renkei)';


--
-- Name: COLUMN household.version; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.version IS '履歴番号 (renkei)';


--
-- Name: COLUMN household.event_id; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.event_id IS 'イベントID (renkei)';


--
-- Name: COLUMN household.event_type; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.event_type IS 'イベント種別 (renkei)';


--
-- Name: COLUMN household.nature; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.nature IS '異動区分 (renkei)';


--
-- Name: COLUMN household.change_id; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.change_id IS '異動ID (renkei)';


--
-- Name: COLUMN household.change_size; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.change_size IS '異動内件数 (renkei)';


--
-- Name: COLUMN household.change_index; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.change_index IS '異動内連番 (renkei)';


--
-- Name: COLUMN household.reason; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.reason IS '異動事由 (renkei)';


--
-- Name: COLUMN household.effective_date; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.effective_date IS '異動日 (renkei)';


--
-- Name: COLUMN household.effective_date_unknown; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.effective_date_unknown IS '異動日_不詳フラグ (renkei)';


--
-- Name: COLUMN household.effective_date_text; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.effective_date_text IS '異動日_不詳表記 (renkei)';


--
-- Name: COLUMN household.notified_on; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.notified_on IS '届出日 (renkei)';


--
-- Name: COLUMN household.processed_at; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.processed_at IS '処理日時 (renkei)';


--
-- Name: COLUMN household.source; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.source IS '発生元システム (renkei)';


--
-- Name: COLUMN household.cancels; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.cancels IS '取消対象イベントID (renkei)';


--
-- Name: COLUMN household.head_subject_id; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.head_subject_id IS '世帯主_宛名番号 (renkei)';


--
-- Name: COLUMN household.members_subject_id; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.members_subject_id IS '世帯員_宛名番号 (renkei)';


--
-- Name: COLUMN household.members_relationship; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.members_relationship IS '世帯員_続柄 (renkei)';


--
-- Name: COLUMN household.member_count; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.household.member_count IS '世帯員数 (renkei)';


--
-- Name: protection; Type: TABLE; Schema: linkage; Owner: -
--

CREATE TABLE linkage.protection (
    municipality_code text NOT NULL,
    subject_id text NOT NULL,
    version integer NOT NULL,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    reason text,
    effective_date date,
    effective_date_unknown boolean,
    effective_date_text text,
    notified_on date,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    status text,
    suppresses text[],
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: COLUMN protection.municipality_code; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.protection.municipality_code IS '市区町村コード (renkei)';


--
-- Name: COLUMN protection.subject_id; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.protection.subject_id IS '宛名番号 (renkei)';


--
-- Name: COLUMN protection.version; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.protection.version IS '履歴番号 (renkei)';


--
-- Name: COLUMN protection.event_id; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.protection.event_id IS 'イベントID (renkei)';


--
-- Name: COLUMN protection.event_type; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.protection.event_type IS 'イベント種別 (renkei)';


--
-- Name: COLUMN protection.nature; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.protection.nature IS '異動区分 (renkei)';


--
-- Name: COLUMN protection.change_id; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.protection.change_id IS '異動ID (renkei)';


--
-- Name: COLUMN protection.change_size; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.protection.change_size IS '異動内件数 (renkei)';


--
-- Name: COLUMN protection.change_index; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.protection.change_index IS '異動内連番 (renkei)';


--
-- Name: COLUMN protection.reason; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.protection.reason IS '異動事由 (renkei)';


--
-- Name: COLUMN protection.effective_date; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.protection.effective_date IS '異動日 (renkei)';


--
-- Name: COLUMN protection.effective_date_unknown; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.protection.effective_date_unknown IS '異動日_不詳フラグ (renkei)';


--
-- Name: COLUMN protection.effective_date_text; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.protection.effective_date_text IS '異動日_不詳表記 (renkei)';


--
-- Name: COLUMN protection.notified_on; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.protection.notified_on IS '届出日 (renkei)';


--
-- Name: COLUMN protection.processed_at; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.protection.processed_at IS '処理日時 (renkei)';


--
-- Name: COLUMN protection.source; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.protection.source IS '発生元システム (renkei)';


--
-- Name: COLUMN protection.cancels; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.protection.cancels IS '取消対象イベントID (renkei)';


--
-- Name: COLUMN protection.status; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.protection.status IS '支援措置状態 (renkei)';


--
-- Name: COLUMN protection.suppresses; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.protection.suppresses IS '抑止対象 (renkei)';


--
-- Name: renkei_fence; Type: TABLE; Schema: linkage; Owner: -
--

CREATE TABLE linkage.renkei_fence (
    is_only boolean DEFAULT true NOT NULL,
    cluster_id text,
    reached jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT renkei_fence_is_only_check CHECK (is_only)
)
WITH (fillfactor='50');


--
-- Name: renkei_position; Type: TABLE; Schema: linkage; Owner: -
--

CREATE TABLE linkage.renkei_position (
    stream text NOT NULL,
    partition integer NOT NULL,
    cluster_id text NOT NULL,
    topic text NOT NULL,
    "offset" bigint NOT NULL,
    last_event_id text,
    receipt jsonb NOT NULL,
    applied_at timestamp with time zone NOT NULL
)
WITH (fillfactor='50');


--
-- Name: renkei_restore; Type: TABLE; Schema: linkage; Owner: -
--

CREATE TABLE linkage.renkei_restore (
    relation text NOT NULL,
    municipality_code text NOT NULL,
    subject_id text NOT NULL
);


--
-- Name: renkei_view; Type: TABLE; Schema: linkage; Owner: -
--

CREATE TABLE linkage.renkei_view (
    stream text NOT NULL,
    fingerprint text NOT NULL,
    edition bigint NOT NULL,
    stands jsonb NOT NULL,
    since timestamp with time zone NOT NULL
);


--
-- Name: renkei_withheld; Type: TABLE; Schema: linkage; Owner: -
--

CREATE TABLE linkage.renkei_withheld (
    relation text NOT NULL,
    flag text NOT NULL,
    locations text[] NOT NULL,
    located text[] NOT NULL,
    households text[] NOT NULL,
    told jsonb
);


--
-- Name: resident; Type: TABLE; Schema: linkage; Owner: -
--

CREATE TABLE linkage.resident (
    municipality_code text NOT NULL,
    subject_id text NOT NULL,
    version integer NOT NULL,
    event_id text,
    event_type text,
    nature text,
    change_id text,
    change_size integer,
    change_index integer,
    reason text,
    effective_date date,
    effective_date_unknown boolean,
    effective_date_text text,
    notified_on date,
    processed_at timestamp with time zone,
    source text,
    cancels text,
    protected boolean,
    household_number text,
    name_full text,
    name_kana text,
    name_alias text,
    name_alias_kana text,
    birth_date date,
    birth_date_unknown boolean,
    birth_date_text text,
    resident_kind text,
    resident_state text,
    relationship text,
    address_municipality_code text,
    address_town_code text,
    address_prefecture text,
    address_municipality text,
    address_town text,
    address_lot text,
    address_building text,
    address_building_kana text,
    address_postal_code text,
    became_resident_on date,
    became_resident_on_unknown boolean,
    became_resident_on_text text,
    renkei_applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: COLUMN resident.municipality_code; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.municipality_code IS '市区町村コード (renkei)';


--
-- Name: COLUMN resident.subject_id; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.subject_id IS '宛名番号 (renkei)';


--
-- Name: COLUMN resident.version; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.version IS '履歴番号 (renkei)';


--
-- Name: COLUMN resident.event_id; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.event_id IS 'イベントID (renkei)';


--
-- Name: COLUMN resident.event_type; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.event_type IS 'イベント種別 (renkei)';


--
-- Name: COLUMN resident.nature; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.nature IS '異動区分 (renkei)';


--
-- Name: COLUMN resident.change_id; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.change_id IS '異動ID (renkei)';


--
-- Name: COLUMN resident.change_size; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.change_size IS '異動内件数 (renkei)';


--
-- Name: COLUMN resident.change_index; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.change_index IS '異動内連番 (renkei)';


--
-- Name: COLUMN resident.reason; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.reason IS '異動事由 (renkei)';


--
-- Name: COLUMN resident.effective_date; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.effective_date IS '異動日 (renkei)';


--
-- Name: COLUMN resident.effective_date_unknown; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.effective_date_unknown IS '異動日_不詳フラグ (renkei)';


--
-- Name: COLUMN resident.effective_date_text; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.effective_date_text IS '異動日_不詳表記 (renkei)';


--
-- Name: COLUMN resident.notified_on; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.notified_on IS '届出日 (renkei)';


--
-- Name: COLUMN resident.processed_at; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.processed_at IS '処理日時 (renkei)';


--
-- Name: COLUMN resident.source; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.source IS '発生元システム (renkei)';


--
-- Name: COLUMN resident.cancels; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.cancels IS '取消対象イベントID (renkei)';


--
-- Name: COLUMN resident.protected; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.protected IS '支援措置対象者フラグ (renkei)';


--
-- Name: COLUMN resident.household_number; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.household_number IS '世帯番号 (renkei)';


--
-- Name: COLUMN resident.name_full; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.name_full IS '氏名 (renkei)';


--
-- Name: COLUMN resident.name_kana; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.name_kana IS '氏名_フリガナ (renkei)';


--
-- Name: COLUMN resident.name_alias; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.name_alias IS '通称 (renkei)';


--
-- Name: COLUMN resident.name_alias_kana; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.name_alias_kana IS '通称_フリガナ (renkei)';


--
-- Name: COLUMN resident.birth_date; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.birth_date IS '生年月日 (renkei)';


--
-- Name: COLUMN resident.birth_date_unknown; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.birth_date_unknown IS '生年月日_不詳フラグ (renkei)';


--
-- Name: COLUMN resident.birth_date_text; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.birth_date_text IS '生年月日_不詳表記 (renkei)';


--
-- Name: COLUMN resident.resident_kind; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.resident_kind IS '住民種別 (renkei)';


--
-- Name: COLUMN resident.resident_state; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.resident_state IS '住民状態 (renkei)';


--
-- Name: COLUMN resident.relationship; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.relationship IS '続柄 (renkei)';


--
-- Name: COLUMN resident.address_municipality_code; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.address_municipality_code IS '住所_市区町村コード (renkei)';


--
-- Name: COLUMN resident.address_town_code; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.address_town_code IS '住所_町字コード (renkei)';


--
-- Name: COLUMN resident.address_prefecture; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.address_prefecture IS '住所_都道府県 (renkei)';


--
-- Name: COLUMN resident.address_municipality; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.address_municipality IS '住所_市区郡町村名 (renkei)';


--
-- Name: COLUMN resident.address_town; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.address_town IS '住所_町字 (renkei)';


--
-- Name: COLUMN resident.address_lot; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.address_lot IS '住所_番地号表記 (renkei)';


--
-- Name: COLUMN resident.address_building; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.address_building IS '住所_方書 (renkei)';


--
-- Name: COLUMN resident.address_building_kana; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.address_building_kana IS '住所_方書フリガナ (renkei)';


--
-- Name: COLUMN resident.address_postal_code; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.address_postal_code IS '住所_郵便番号 (renkei)';


--
-- Name: COLUMN resident.became_resident_on; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.became_resident_on IS '住民となった年月日 (renkei)';


--
-- Name: COLUMN resident.became_resident_on_unknown; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.became_resident_on_unknown IS '住民となった年月日_不詳フラグ (renkei)';


--
-- Name: COLUMN resident.became_resident_on_text; Type: COMMENT; Schema: linkage; Owner: -
--

COMMENT ON COLUMN linkage.resident.became_resident_on_text IS '住民となった年月日_不詳表記 (renkei)';


--
-- Data for Name: event_application_received; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_calendar_milestone; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_child_allowance_receipt; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_child_childcare_support_certification; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_child_rearing_allowance_receipt; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_corporate_resident_tax_levy; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_custody; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_disability_welfare_certificate; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_electoral_roll_registration; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_erasure; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_exception; Type: TABLE DATA; Schema: ledger; Owner: -
--

INSERT INTO ledger.event_exception VALUES ('child_allowance', 'resident', 0, 6, '131016/000000000000004', NULL, 'PARKED', 'RK-201', 1, '2026-11-24 09:00:02+00', NULL, 0, 0, '2026-11-30 12:20:32.005084+00', '2026-11-24 09:00:02+00', NULL);
INSERT INTO ledger.event_exception VALUES ('ledger', 'resident', 0, 6, '131016/000000000000004', NULL, 'PARKED', 'RK-201', 1, '2026-11-24 09:00:10+00', NULL, 0, 1, '2026-11-30 12:20:32.718715+00', '2026-11-24 09:00:10+00', NULL);


--
-- Data for Name: event_fixed_asset_tax_levy; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_health_management_vaccination; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_household; Type: TABLE DATA; Schema: ledger; Owner: -
--

INSERT INTO ledger.event_household VALUES ('131016', '000000000000001', 1, '378649db-089d-5cb1-8acd-6668e3fa23b6', 'household.changed', 'CHANGE', '378649db-089d-5cb1-8acd-6668e3fa23b6', 1, 0, '2026-11-24 00:00:00+00', 'resident_registry', NULL, 0, 0, '2026-11-30 12:20:32.155157+00');
INSERT INTO ledger.event_household VALUES ('131016', '000000000000002', 1, '0f1a533c-aa6e-5bf6-b7ec-23834e508ee6', 'household.changed', 'CHANGE', '0f1a533c-aa6e-5bf6-b7ec-23834e508ee6', 1, 0, '2026-11-24 00:00:00+00', 'resident_registry', NULL, 0, 1, '2026-11-30 12:20:32.155157+00');


--
-- Data for Name: event_individual_number; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_individual_resident_tax_assessment; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_late_elderly_medical_qualification; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_light_vehicle_tax_vehicle; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_long_term_care_insurance_care_level; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_long_term_care_insurance_qualification; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_national_health_insurance_qualification; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_national_pension_qualification; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_nonresident; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_operation; Type: TABLE DATA; Schema: ledger; Owner: -
--

INSERT INTO ledger.event_operation VALUES ('child_allowance', 'household', NULL, 'PAUSED', 'ops', '2026-11-24 09:00:04+00', NULL, NULL, 'T-1', 0, 0, '2026-11-30 12:20:32.65358+00');


--
-- Data for Name: event_protection; Type: TABLE DATA; Schema: ledger; Owner: -
--

INSERT INTO ledger.event_protection VALUES ('131016', '000000000000002', 1, '7b9cc9f2-0f6e-5a29-bffe-37b5b7dea1c6', 'protection.started', 'CHANGE', '7b9cc9f2-0f6e-5a29-bffe-37b5b7dea1c6', 1, 0, '2026-11-24 00:00:00+00', 'resident_registry', NULL, 0, 0, '2026-11-30 12:20:32.790083+00');


--
-- Data for Name: event_public_assistance_receipt; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_receipt; Type: TABLE DATA; Schema: ledger; Owner: -
--

INSERT INTO ledger.event_receipt VALUES ('child_allowance', 'protection', 0, 0, 1, '{[0,1)}', '20a813a6df40561b2791874bd8f2a01a1ce29ad7a8ffc991597390673fcedc7d', 1, 'hmac-sha256:town:f77e848f812895a91631a1b92416b4887932d2a23b8818582629f137f944d711', '0000000000000000000000000000000000000000000000000000000000000000', 'c348b6e82bb3598eb32b686e3971f277e1a8c3949944ff5ca846208f6fd52179', '2026-11-30 12:20:29.784593+00', 'memory', false, 0, 0, '2026-11-30 12:20:32.976956+00', 'town:1c2165bdabdf0e31e633484dc733208562a24d443f67e46c8f46b7f35603582d');
INSERT INTO ledger.event_receipt VALUES ('child_allowance', 'resident', 0, 0, 5, '{[0,5)}', '5bf51f5f235b17d887cd57964c891d709c59fe1ff6db670bb10e189457275735', 5, 'hmac-sha256:town:590ac2bb2042bc6ff18e0b29b3e0641d88cd709a4305be8ef4b79af9c2ecbbba', '0000000000000000000000000000000000000000000000000000000000000000', '9b9301a1b82a1a3ba8bc43260d67cc1dd357722474fa919a3b828d557b372940', '2026-11-30 12:20:30.124097+00', 'memory', false, 0, 1, '2026-11-30 12:20:32.976956+00', 'town:9b6c37e8ad28afc19687da7160860b636b4c7e8d82d04842a799b03fde109bfa');
INSERT INTO ledger.event_receipt VALUES ('child_allowance', 'resident', 0, 5, 6, '{[5,6)}', '5bf51f5f235b17d887cd57964c891d709c59fe1ff6db670bb10e189457275735', 1, 'hmac-sha256:town:b6b68748a2550eca843092a91e71592c1510834bfa7089c65d09cda3e5ebd6df', '9b9301a1b82a1a3ba8bc43260d67cc1dd357722474fa919a3b828d557b372940', '6152e468c420e1c3565322daa78226585295b96a1150991f1caf8b05105dfee8', '2026-11-30 12:20:30.147082+00', 'memory', false, 0, 2, '2026-11-30 12:20:32.976956+00', 'town:a89707d15a1945496c1e90fa8fc3ec24521cb0db98c56c02c43bf3626bc7993c');
INSERT INTO ledger.event_receipt VALUES ('child_allowance', 'resident', 0, 6, 7, '{}', '5bf51f5f235b17d887cd57964c891d709c59fe1ff6db670bb10e189457275735', 0, 'hmac-sha256:town:b6b68748a2550eca843092a91e71592c1510834bfa7089c65d09cda3e5ebd6df', '6152e468c420e1c3565322daa78226585295b96a1150991f1caf8b05105dfee8', '26cf48b903b5c0a5945f6fa175c8f7eccb8bcf4ea47247192092c22d4759d19c', '2026-11-30 12:20:30.195187+00', 'memory', false, 0, 3, '2026-11-30 12:20:32.976956+00', 'town:de2840e3967a47b268bb6678a3c17293c875893b4713f1a5801c19a7219cc09f');
INSERT INTO ledger.event_receipt VALUES ('child_allowance', 'household', 0, 0, 1, '{[0,1)}', 'df1916b70804694f74cedd754786a633bba917e051a4ec2930b578f9a92b2969', 1, 'hmac-sha256:town:84b2e59e78b081b0697f1aaf9b51b4acb2152a80dd20a5f65d9c9e7edfc63c06', '0000000000000000000000000000000000000000000000000000000000000000', 'b5df4a80c7c72b308bddbf2a23410ce11b6e2136e6ab34c851a8fc119a2294e2', '2026-11-30 12:20:30.244493+00', 'memory', false, 0, 4, '2026-11-30 12:20:32.976956+00', 'town:ff9a0a23d48f6978a08fe22d233e8ba9750f8fe69b2511ec300e0a87723d1eae');


--
-- Data for Name: event_renkei_position; Type: TABLE DATA; Schema: ledger; Owner: -
--

INSERT INTO ledger.event_renkei_position VALUES ('household', 0, 'memory', 'linkage.household', 2, '0f1a533c-aa6e-5bf6-b7ec-23834e508ee6', '{"end": 2, "rows": 2, "view": "92b03bf76101182e6e87c22682da86525dbcd56442f1921c3f1636293a17542e", "proof": "town:75cd6e932cd5d794653def458ccb536d68182e196f00fb3b27052cd45a7309e2", "start": 0, "digest": "hmac-sha256:town:0c5d7f5b5d6aff58a45cf9599ebe1a958ebcde682b3cc399ae37369ec187a5a6", "stream": "household", "system": "ledger", "previous": "0000000000000000000000000000000000000000000000000000000000000000", "delivered": "{[0,2)}", "partition": 0}', '2026-11-30 12:20:32.155157+00');
INSERT INTO ledger.event_renkei_position VALUES ('view', 0, 'memory', 'linkage.view', 3, NULL, '{"end": 3, "rows": 3, "view": "2ff2230f6af3469735baf10f5533cd3cfcd39a49fec19f694e6e895f017bbdb0", "proof": "town:65ae28f2d54b989d8c49c5a01f3d8089351430b34f2dcd70357dbeb656a4b106", "start": 0, "digest": "hmac-sha256:town:e340945c0e1f8cf031b8a110678ea120242d3202bb304bb1347ca1dacad6e6d5", "stream": "view", "system": "ledger", "previous": "0000000000000000000000000000000000000000000000000000000000000000", "delivered": "{[0,3)}", "partition": 0}', '2026-11-30 12:20:32.603572+00');
INSERT INTO ledger.event_renkei_position VALUES ('operation', 0, 'memory', 'linkage.operation', 1, NULL, '{"end": 1, "rows": 1, "view": "9ba69b9c62d1f4a529b1a2a3ef2d30a9864db11f895fe5549aaccf4ef7299828", "proof": "town:cf628103ecc31713b954d6258c3612e81318d0971c219f49f0417c6f5977a1eb", "start": 0, "digest": "hmac-sha256:town:182344bf96f0ad0cfcbcb32258ac1347b95c969554071f4070beb2cc003249c2", "stream": "operation", "system": "ledger", "previous": "0000000000000000000000000000000000000000000000000000000000000000", "delivered": "{[0,1)}", "partition": 0}', '2026-11-30 12:20:32.65358+00');
INSERT INTO ledger.event_renkei_position VALUES ('exception', 0, 'memory', 'linkage.exception', 2, 'None', '{"end": 2, "rows": 1, "view": "1a13ba44b970c8dd19bd62dc4256be5afe09d2300b6261aa6ba9f5e26f2ed579", "proof": "town:8abf4cd7694eab956fd663175ab9ecac3f4cea7192951effe0b5b4a1ed353755", "start": 1, "digest": "hmac-sha256:town:61cea7eedfd26e61bd35f1a86b304ffb3adecc5a66d133a659f221281e25fcc7", "stream": "exception", "system": "ledger", "previous": "808ac2c8d68ecb20ed02477e9159b8f3ecd9b22ff448d8406a7212a8481b60ca", "delivered": "{[1,2)}", "partition": 0}', '2026-11-30 12:20:32.718715+00');
INSERT INTO ledger.event_renkei_position VALUES ('resident', 0, 'memory', 'linkage.resident', 7, NULL, '{"end": 7, "rows": 0, "view": "fefa05fe7b2c7b14e616df5c3ec231ab3c936a28ed230648e6c811c9a6d266e8", "proof": "town:ff9b944acd06509815c7db9853fab7a5921588c0b4416bbf058a993368f677b1", "start": 6, "digest": "hmac-sha256:town:b6b68748a2550eca843092a91e71592c1510834bfa7089c65d09cda3e5ebd6df", "stream": "resident", "system": "ledger", "previous": "d902ee3fc727ec36cf0ba2dff12a2ee9b0788516714ca346ce9ffc0c4bd4da06", "delivered": "{}", "partition": 0}', '2026-11-30 12:20:32.719925+00');
INSERT INTO ledger.event_renkei_position VALUES ('protection', 0, 'memory', 'linkage.protection', 1, '7b9cc9f2-0f6e-5a29-bffe-37b5b7dea1c6', '{"end": 1, "rows": 1, "view": "27257bd4e71cdbfa7af2e574252c85d3328f9dd3e8ec8dc43d5bc7374ff6f784", "proof": "town:993270852fb264daa13ece2fb30351c3648975fb53df6c03be6c97a0b3b64826", "start": 0, "digest": "hmac-sha256:town:f77e848f812895a91631a1b92416b4887932d2a23b8818582629f137f944d711", "stream": "protection", "system": "ledger", "previous": "0000000000000000000000000000000000000000000000000000000000000000", "delivered": "{[0,1)}", "partition": 0}', '2026-11-30 12:20:32.790083+00');
INSERT INTO ledger.event_renkei_position VALUES ('receipt', 0, 'memory', 'linkage.receipt', 5, NULL, '{"end": 5, "rows": 5, "view": "e7987b69087698667208679926df153fca619d27c23eb4062767ae4119929830", "proof": "town:4b910e27f610aecc251d629e6ec1a3157c8c788a865719937103a47a788b87d5", "start": 0, "digest": "hmac-sha256:town:e15a817cc2bb50c562809a4420fb6ad8ae6debe0caeeac3a2334fa770aa273bc", "stream": "receipt", "system": "ledger", "previous": "0000000000000000000000000000000000000000000000000000000000000000", "delivered": "{[0,5)}", "partition": 0}', '2026-11-30 12:20:32.976956+00');


--
-- Data for Name: event_renkei_view; Type: TABLE DATA; Schema: ledger; Owner: -
--

INSERT INTO ledger.event_renkei_view VALUES ('application.received', '171b01ba91a6644c93cc0c58c9c6abe15521300d2e9f1e7bc979dfb62ccdd9c9', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "171b01ba91a6644c93cc0c58c9c6abe15521300d2e9f1e7bc979dfb62ccdd9c9", "suppression": "withhold"}', '2026-11-30 12:20:31.130108+00');
INSERT INTO ledger.event_renkei_view VALUES ('calendar.milestone', '5d5a98d5743449300ca9624875069a9850be828e9fd62b5bf97b67b61ebfcfdb', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "5d5a98d5743449300ca9624875069a9850be828e9fd62b5bf97b67b61ebfcfdb", "suppression": "withhold"}', '2026-11-30 12:20:31.423295+00');
INSERT INTO ledger.event_renkei_view VALUES ('child_rearing_allowance.receipt', 'dff2cc1c027781e3a11db9f34038b925838ff3e9b90038be1f8584c96c2fb313', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "dff2cc1c027781e3a11db9f34038b925838ff3e9b90038be1f8584c96c2fb313", "suppression": "withhold"}', '2026-11-30 12:20:31.572254+00');
INSERT INTO ledger.event_renkei_view VALUES ('child_allowance.receipt', 'c20f40fd991e36e2ad979609f8e349700db7aea82b7fc51896649d92f55d7af4', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "c20f40fd991e36e2ad979609f8e349700db7aea82b7fc51896649d92f55d7af4", "suppression": "withhold"}', '2026-11-30 12:20:31.621949+00');
INSERT INTO ledger.event_renkei_view VALUES ('child_childcare_support.certification', '326cbb03c4d0851b035a989a22dc48ba69dc1be2102b110d51c4cfef817845cd', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "326cbb03c4d0851b035a989a22dc48ba69dc1be2102b110d51c4cfef817845cd", "suppression": "withhold"}', '2026-11-30 12:20:31.776236+00');
INSERT INTO ledger.event_renkei_view VALUES ('disability_welfare.certificate', '9ac1fafd6ebb9ad16b002686e5ffb06d327030f8649ab39b24dc1595c451bd96', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "9ac1fafd6ebb9ad16b002686e5ffb06d327030f8649ab39b24dc1595c451bd96", "suppression": "withhold"}', '2026-11-30 12:20:31.903606+00');
INSERT INTO ledger.event_renkei_view VALUES ('electoral_roll.registration', '1b944e6139fa489fc522d396647b6dc509648e31bc35114fae947108d4cdc403', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "1b944e6139fa489fc522d396647b6dc509648e31bc35114fae947108d4cdc403", "suppression": "withhold"}', '2026-11-30 12:20:31.936602+00');
INSERT INTO ledger.event_renkei_view VALUES ('corporate_resident_tax.levy', 'c4aa790cea4762f133454fd3a9ba297b6493cf73a43cb84c01a7dfecb37bcd05', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "c4aa790cea4762f133454fd3a9ba297b6493cf73a43cb84c01a7dfecb37bcd05", "suppression": "withhold"}', '2026-11-30 12:20:31.965143+00');
INSERT INTO ledger.event_renkei_view VALUES ('exception', '1a13ba44b970c8dd19bd62dc4256be5afe09d2300b6261aa6ba9f5e26f2ed579', 0, '{"columns": {"at": "timestamp[us, tz=UTC]", "code": "string", "note": "string", "since": "timestamp[us, tz=UTC]", "state": "string", "offset": "int64", "stream": "string", "system": "string", "subject": "string", "attempts": "int32", "event_id": "string", "operator": "string", "partition": "int32", "log_offset": "int64", "log_partition": "int32"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "1a13ba44b970c8dd19bd62dc4256be5afe09d2300b6261aa6ba9f5e26f2ed579", "suppression": "withhold"}', '2026-11-30 12:20:31.985761+00');
INSERT INTO ledger.event_renkei_view VALUES ('health_management.vaccination', 'cfee73ee0019175d86c6c2c7118c7a708331b777f81996af291addf2e71d6922', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "cfee73ee0019175d86c6c2c7118c7a708331b777f81996af291addf2e71d6922", "suppression": "withhold"}', '2026-11-30 12:20:32.027914+00');
INSERT INTO ledger.event_renkei_view VALUES ('individual_number', '09f545bfe4ac6b6f8673539c46d7a2c3b81e95d16de956052797773becb2c4bd', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "09f545bfe4ac6b6f8673539c46d7a2c3b81e95d16de956052797773becb2c4bd", "suppression": "withhold"}', '2026-11-30 12:20:32.07237+00');
INSERT INTO ledger.event_renkei_view VALUES ('household', '92b03bf76101182e6e87c22682da86525dbcd56442f1921c3f1636293a17542e', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "92b03bf76101182e6e87c22682da86525dbcd56442f1921c3f1636293a17542e", "suppression": "withhold"}', '2026-11-30 12:20:32.122671+00');
INSERT INTO ledger.event_renkei_view VALUES ('individual_resident_tax.assessment', '20c54f1474fd8ecfb1a66174f177386c221eace337997d05b71f08108052eca1', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "20c54f1474fd8ecfb1a66174f177386c221eace337997d05b71f08108052eca1", "suppression": "withhold"}', '2026-11-30 12:20:32.19497+00');
INSERT INTO ledger.event_renkei_view VALUES ('late_elderly_medical.qualification', '363bfb1c2d3486538069e5b740c23f0f866e3676a2d9414cd4d7a2f7d3d9523a', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "363bfb1c2d3486538069e5b740c23f0f866e3676a2d9414cd4d7a2f7d3d9523a", "suppression": "withhold"}', '2026-11-30 12:20:32.259875+00');
INSERT INTO ledger.event_renkei_view VALUES ('fixed_asset_tax.levy', '5c09716f21b25804bb06a987d13042c47cab812b907c99dfbbb896e980d9f379', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "5c09716f21b25804bb06a987d13042c47cab812b907c99dfbbb896e980d9f379", "suppression": "withhold"}', '2026-11-30 12:20:32.314289+00');
INSERT INTO ledger.event_renkei_view VALUES ('long_term_care_insurance.care_level', 'd943204d4fe4c719aab06291d1618990eadb56d543140a3027310c62ed453300', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "d943204d4fe4c719aab06291d1618990eadb56d543140a3027310c62ed453300", "suppression": "withhold"}', '2026-11-30 12:20:32.339142+00');
INSERT INTO ledger.event_renkei_view VALUES ('light_vehicle_tax.vehicle', 'aeb64e684c2c5d3edb26a446bb0063dfc197749a72c2085c83f9cd5927daccde', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "aeb64e684c2c5d3edb26a446bb0063dfc197749a72c2085c83f9cd5927daccde", "suppression": "withhold"}', '2026-11-30 12:20:32.390635+00');
INSERT INTO ledger.event_renkei_view VALUES ('nonresident', '51292dce4ea28420fd522a6c83b438e2948e6562877a47f62ff36185b8c3e6f2', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "51292dce4ea28420fd522a6c83b438e2948e6562877a47f62ff36185b8c3e6f2", "suppression": "withhold"}', '2026-11-30 12:20:32.450072+00');
INSERT INTO ledger.event_renkei_view VALUES ('long_term_care_insurance.qualification', '27b55d8eadb33b83c6c1edff8fe45c3e28ebd84a5cba4b0f9ebc00437dcaea60', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "27b55d8eadb33b83c6c1edff8fe45c3e28ebd84a5cba4b0f9ebc00437dcaea60", "suppression": "withhold"}', '2026-11-30 12:20:32.483307+00');
INSERT INTO ledger.event_renkei_view VALUES ('national_health_insurance.qualification', '99dd284b8ceae01b4db6f41f5c1a473b99a6a57ad23e731a0704373039589640', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "99dd284b8ceae01b4db6f41f5c1a473b99a6a57ad23e731a0704373039589640", "suppression": "withhold"}', '2026-11-30 12:20:32.503819+00');
INSERT INTO ledger.event_renkei_view VALUES ('national_pension.qualification', '4d7c98a6d030a62e4982a83c7c6071cc68c65938ad87b68ce74be10c877a9f87', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "4d7c98a6d030a62e4982a83c7c6071cc68c65938ad87b68ce74be10c877a9f87", "suppression": "withhold"}', '2026-11-30 12:20:32.522171+00');
INSERT INTO ledger.event_renkei_view VALUES ('view', '2ff2230f6af3469735baf10f5533cd3cfcd39a49fec19f694e6e895f017bbdb0', 0, '{"columns": {"mode": "string", "stream": "string", "system": "string", "purpose": "string", "approver": "string", "statement": "string", "stream_ja": "string", "system_ja": "string", "columns_ja": "list<item: string>", "conditions": "list<item: string>", "expires_on": "date32[day]", "log_offset": "int64", "number_use": "string", "approved_on": "date32[day]", "event_types": "list<item: string>", "fingerprint": "string", "legal_basis": "string", "suppression": "string", "columns_mask": "list<item: string>", "columns_name": "list<item: string>", "columns_path": "list<item: string>", "log_partition": "int32", "schema_version": "int32", "columns_sensitivity": "list<item: string>"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "2ff2230f6af3469735baf10f5533cd3cfcd39a49fec19f694e6e895f017bbdb0", "suppression": "withhold"}', '2026-11-30 12:20:32.564938+00');
INSERT INTO ledger.event_renkei_view VALUES ('public_assistance.receipt', 'a9908f6c31abe24d0170e290aba8de931d29cae52c2fc7a6280e52de473550ed', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "a9908f6c31abe24d0170e290aba8de931d29cae52c2fc7a6280e52de473550ed", "suppression": "withhold"}', '2026-11-30 12:20:32.60131+00');
INSERT INTO ledger.event_renkei_view VALUES ('operation', '9ba69b9c62d1f4a529b1a2a3ef2d30a9864db11f895fe5549aaccf4ef7299828', 0, '{"columns": {"at": "timestamp[us, tz=UTC]", "code": "string", "note": "string", "state": "string", "offset": "int64", "stream": "string", "system": "string", "operator": "string", "partition": "int32", "log_offset": "int64", "log_partition": "int32"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "9ba69b9c62d1f4a529b1a2a3ef2d30a9864db11f895fe5549aaccf4ef7299828", "suppression": "withhold"}', '2026-11-30 12:20:32.622982+00');
INSERT INTO ledger.event_renkei_view VALUES ('resident', 'fefa05fe7b2c7b14e616df5c3ec231ab3c936a28ed230648e6c811c9a6d266e8', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "fefa05fe7b2c7b14e616df5c3ec231ab3c936a28ed230648e6c811c9a6d266e8", "suppression": "withhold"}', '2026-11-30 12:20:32.650949+00');
INSERT INTO ledger.event_renkei_view VALUES ('protection', '27257bd4e71cdbfa7af2e574252c85d3328f9dd3e8ec8dc43d5bc7374ff6f784', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "27257bd4e71cdbfa7af2e574252c85d3328f9dd3e8ec8dc43d5bc7374ff6f784", "suppression": "withhold"}', '2026-11-30 12:20:32.670472+00');
INSERT INTO ledger.event_renkei_view VALUES ('receipt', 'e7987b69087698667208679926df153fca619d27c23eb4062767ae4119929830', 0, '{"columns": {"end": "int64", "rows": "int64", "view": "string", "chain": "string", "proof": "string", "start": "int64", "digest": "string", "stream": "string", "system": "string", "previous": "string", "delivered": "string", "is_replay": "bool", "partition": "int32", "applied_at": "timestamp[us, tz=UTC]", "cluster_id": "string", "log_offset": "int64", "log_partition": "int32"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "e7987b69087698667208679926df153fca619d27c23eb4062767ae4119929830", "suppression": "withhold"}', '2026-11-30 12:20:32.721703+00');
INSERT INTO ledger.event_renkei_view VALUES ('school_enrollment.enrollment', '3a7a2e25ed3993ab195c6f7f65157d967883ecc9ef0a81d5c1571aeb623ce60b', 0, '{"columns": {"nature": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "log_offset": "int64", "subject_id": "string", "change_size": "int32", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "log_partition": "int32", "municipality_code": "string"}, "edition": 0, "locations": [], "conditions": [], "event_types": [], "fingerprint": "3a7a2e25ed3993ab195c6f7f65157d967883ecc9ef0a81d5c1571aeb623ce60b", "suppression": "withhold"}', '2026-11-30 12:20:32.856377+00');


--
-- Data for Name: event_resident; Type: TABLE DATA; Schema: ledger; Owner: -
--

INSERT INTO ledger.event_resident VALUES ('131016', '000000000000001', 1, 'abf58324-bce6-5740-a301-b05f56b7bdd6', 'resident.address_changed', 'CHANGE', 'abf58324-bce6-5740-a301-b05f56b7bdd6', 1, 0, '2026-11-24 00:00:00+00', 'resident_registry', NULL, 0, 0, '2026-11-30 12:20:32.671637+00');
INSERT INTO ledger.event_resident VALUES ('131016', '000000000000002', 1, 'd719bc95-ecd1-5489-83fe-47c6ba85e8da', 'resident.address_changed', 'CHANGE', 'd719bc95-ecd1-5489-83fe-47c6ba85e8da', 1, 0, '2026-11-24 00:00:00+00', 'resident_registry', NULL, 0, 1, '2026-11-30 12:20:32.671637+00');
INSERT INTO ledger.event_resident VALUES ('131016', '000000000000003', 1, '08863c4a-7ea9-5e09-81ac-62e7471de6a0', 'resident.address_changed', 'CHANGE', '08863c4a-7ea9-5e09-81ac-62e7471de6a0', 1, 0, '2026-11-24 00:00:00+00', 'resident_registry', NULL, 0, 2, '2026-11-30 12:20:32.671637+00');
INSERT INTO ledger.event_resident VALUES ('131016', '000000000000004', 1, 'ec317c1e-71c2-59b8-850a-c14fc4bce0e4', 'resident.address_changed', 'CHANGE', 'ec317c1e-71c2-59b8-850a-c14fc4bce0e4', 1, 0, '2026-11-24 00:00:00+00', 'resident_registry', NULL, 0, 3, '2026-11-30 12:20:32.671637+00');
INSERT INTO ledger.event_resident VALUES ('131016', '000000000000002', 2, '381e187a-ff01-5868-b034-a00df484a285', 'resident.address_changed', 'CHANGE', '381e187a-ff01-5868-b034-a00df484a285', 1, 0, '2026-11-24 00:00:00+00', 'resident_registry', NULL, 0, 4, '2026-11-30 12:20:32.671637+00');


--
-- Data for Name: event_school_enrollment_enrollment; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_subscription; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: event_view; Type: TABLE DATA; Schema: ledger; Owner: -
--

INSERT INTO ledger.event_view VALUES ('20a813a6df40561b2791874bd8f2a01a1ce29ad7a8ffc991597390673fcedc7d', 'child_allowance', '児童手当', 'protection', '支援措置', 3, '{municipality_code,subject_id,version,event_id,event_type,nature,change_id,change_size,change_index,reason,effective_date,effective_date_unknown,effective_date_text,notified_on,processed_at,source,cancels,status,suppresses}', '{header.municipality_code,header.subject_id,header.version,header.event_id,header.event_type,header.nature,header.change_id,header.change_size,header.change_index,header.reason,header.effective_date.date,header.effective_date.unknown,header.effective_date.text,header.notified_on,header.processed_at,header.source,header.cancels,status,suppresses}', '{市区町村コード,宛名番号,履歴番号,イベントID,イベント種別,異動区分,異動ID,異動内件数,異動内連番,異動事由,異動日,異動日_不詳フラグ,異動日_不詳表記,届出日,処理日時,発生元システム,取消対象イベントID,支援措置状態,抑止対象}', '{plain,personal,plain,plain,plain,plain,plain,plain,plain,personal,personal,personal,personal,personal,plain,plain,plain,personal,personal}', '{"","","","","","","","","","","","","","","","","","",""}', '{protection.ended,protection.extended,protection.started}', '{}', 'withhold', 'auto_apply', '住民基本台帳事務処理要領（支援措置）、個人情報の保護に関する法律第69条', '', '住所を画面・帳票・通知に出さないため、支援措置の対象者であることを知る', '個人情報保護管理者（総務部長）', '2026-04-01', '2029-03-31', '{"columns":[["municipality_code","header.municipality_code","string","plain",false,null],["subject_id","header.subject_id","string","personal",false,null],["version","header.version","int32","plain",false,null],["event_id","header.event_id","string","plain",false,null],["event_type","header.event_type","string","plain",false,null],["nature","header.nature","string","plain",false,null],["change_id","header.change_id","string","plain",false,null],["change_size","header.change_size","int32","plain",false,null],["change_index","header.change_index","int32","plain",false,null],["reason","header.reason","string","personal",true,null],["effective_date","header.effective_date.date","date32[day]","personal",true,null],["effective_date_unknown","header.effective_date.unknown","bool","personal",false,null],["effective_date_text","header.effective_date.text","string","personal",true,null],["notified_on","header.notified_on","date32[day]","personal",true,null],["processed_at","header.processed_at","timestamp[us, tz=UTC]","plain",false,null],["source","header.source","string","plain",false,null],["cancels","header.cancels","string","plain",true,null],["status","status","string","personal",false,null],["suppresses","suppresses","list<item: string>","personal",false,null]],"conditions":[],"event_types":["protection.ended","protection.extended","protection.started"],"ground":{"approved_on":"2026-04-01","approver":"個人情報保護管理者（総務部長）","expires_on":"2029-03-31","legal_basis":"住民基本台帳事務処理要領（支援措置）、個人情報の保護に関する法律第69条","number_use":"","purpose":"住所を画面・帳票・通知に出さないため、支援措置の対象者であることを知る"},"keeping":"state","located":[],"mode":"auto_apply","schema":"627c1c84b352a96fd182bf507b5e5e1475f6b07ab5f7f05009ab0313ca0d9685","stream":"protection","suppression":"withhold","system":"child_allowance"}', 0, 0, '2026-11-30 12:20:32.603572+00');
INSERT INTO ledger.event_view VALUES ('5bf51f5f235b17d887cd57964c891d709c59fe1ff6db670bb10e189457275735', 'child_allowance', '児童手当', 'resident', '住民', 2, '{municipality_code,subject_id,version,event_id,event_type,nature,change_id,change_size,change_index,reason,effective_date,effective_date_unknown,effective_date_text,notified_on,processed_at,source,cancels,protected,household_number,name_full,name_kana,name_alias,name_alias_kana,birth_date,birth_date_unknown,birth_date_text,resident_kind,resident_state,relationship,address_municipality_code,address_town_code,address_prefecture,address_municipality,address_town,address_lot,address_building,address_building_kana,address_postal_code,became_resident_on,became_resident_on_unknown,became_resident_on_text}', '{header.municipality_code,header.subject_id,header.version,header.event_id,header.event_type,header.nature,header.change_id,header.change_size,header.change_index,header.reason,header.effective_date.date,header.effective_date.unknown,header.effective_date.text,header.notified_on,header.processed_at,header.source,header.cancels,protected,household_number,name.full,name.kana,name.alias,name.alias_kana,birth_date.date,birth_date.unknown,birth_date.text,resident_kind,resident_state,relationship,address.municipality_code,address.town_code,address.prefecture,address.municipality,address.town,address.lot,address.building,address.building_kana,address.postal_code,became_resident_on.date,became_resident_on.unknown,became_resident_on.text}', '{市区町村コード,宛名番号,履歴番号,イベントID,イベント種別,異動区分,異動ID,異動内件数,異動内連番,異動事由,異動日,異動日_不詳フラグ,異動日_不詳表記,届出日,処理日時,発生元システム,取消対象イベントID,支援措置対象者フラグ,世帯番号,氏名,氏名_フリガナ,通称,通称_フリガナ,生年月日,生年月日_不詳フラグ,生年月日_不詳表記,住民種別,住民状態,続柄,住所_市区町村コード,住所_町字コード,住所_都道府県,住所_市区郡町村名,住所_町字,住所_番地号表記,住所_方書,住所_方書フリガナ,住所_郵便番号,住民となった年月日,住民となった年月日_不詳フラグ,住民となった年月日_不詳表記}', '{plain,personal,plain,plain,plain,plain,plain,plain,plain,personal,personal,personal,personal,personal,plain,plain,plain,personal,personal,personal,personal,personal,personal,personal,personal,personal,personal,personal,personal,location,location,location,location,location,location,location,location,location,personal,personal,personal}', '{"","","","","","","","","","","","","","","","","","","","","","","","","","","","","","","","","","","","","","","","",""}', '{resident.address_changed,resident.born,resident.change_cancelled,resident.corrected,resident.died,resident.move_out_filed,resident.moved_in,resident.moved_out,resident.name_changed,resident.registered_ex_officio,resident.reissued,resident.removed_ex_officio}', '{}', 'withhold', 'auto_apply', '児童手当法、個人情報の保護に関する法律第69条', '', '受給資格の認定・消滅（出生・転入は翌日から15日、転出で消滅）の把握と通知の送付', '個人情報保護管理者（総務部長）', '2026-04-01', '2029-03-31', '{"columns":[["municipality_code","header.municipality_code","string","plain",false,null],["subject_id","header.subject_id","string","personal",false,null],["version","header.version","int32","plain",false,null],["event_id","header.event_id","string","plain",false,null],["event_type","header.event_type","string","plain",false,null],["nature","header.nature","string","plain",false,null],["change_id","header.change_id","string","plain",false,null],["change_size","header.change_size","int32","plain",false,null],["change_index","header.change_index","int32","plain",false,null],["reason","header.reason","string","personal",true,null],["effective_date","header.effective_date.date","date32[day]","personal",true,null],["effective_date_unknown","header.effective_date.unknown","bool","personal",false,null],["effective_date_text","header.effective_date.text","string","personal",true,null],["notified_on","header.notified_on","date32[day]","personal",true,null],["processed_at","header.processed_at","timestamp[us, tz=UTC]","plain",false,null],["source","header.source","string","plain",false,null],["cancels","header.cancels","string","plain",true,null],["protected","protected","bool","personal",false,null],["household_number","household_number","string","personal",false,null],["name_full","name.full","string","personal",true,null],["name_kana","name.kana","string","personal",true,null],["name_alias","name.alias","string","personal",true,null],["name_alias_kana","name.alias_kana","string","personal",true,null],["birth_date","birth_date.date","date32[day]","personal",true,null],["birth_date_unknown","birth_date.unknown","bool","personal",false,null],["birth_date_text","birth_date.text","string","personal",true,null],["resident_kind","resident_kind","string","personal",false,null],["resident_state","resident_state","string","personal",false,null],["relationship","relationship","string","personal",true,null],["address_municipality_code","address.municipality_code","string","location",true,null],["address_town_code","address.town_code","string","location",true,null],["address_prefecture","address.prefecture","string","location",true,null],["address_municipality","address.municipality","string","location",true,null],["address_town","address.town","string","location",true,null],["address_lot","address.lot","string","location",true,null],["address_building","address.building","string","location",true,null],["address_building_kana","address.building_kana","string","location",true,null],["address_postal_code","address.postal_code","string","location",true,null],["became_resident_on","became_resident_on.date","date32[day]","personal",true,null],["became_resident_on_unknown","became_resident_on.unknown","bool","personal",true,null],["became_resident_on_text","became_resident_on.text","string","personal",true,null]],"conditions":[],"event_types":["resident.address_changed","resident.born","resident.change_cancelled","resident.corrected","resident.died","resident.move_out_filed","resident.moved_in","resident.moved_out","resident.name_changed","resident.registered_ex_officio","resident.reissued","resident.removed_ex_officio"],"ground":{"approved_on":"2026-04-01","approver":"個人情報保護管理者（総務部長）","expires_on":"2029-03-31","legal_basis":"児童手当法、個人情報の保護に関する法律第69条","number_use":"","purpose":"受給資格の認定・消滅（出生・転入は翌日から15日、転出で消滅）の把握と通知の送付"},"keeping":"state","located":["header.subject_id"],"mode":"auto_apply","schema":"98f7c2f91bbc7030e04299e90396a20369864f65bf0eb137263dee9253ab42ab","stream":"resident","suppression":"withhold","system":"child_allowance"}', 0, 1, '2026-11-30 12:20:32.603572+00');
INSERT INTO ledger.event_view VALUES ('df1916b70804694f74cedd754786a633bba917e051a4ec2930b578f9a92b2969', 'child_allowance', '児童手当', 'household', '世帯', 1, '{municipality_code,subject_id,version,event_id,event_type,nature,change_id,change_size,change_index,reason,effective_date,effective_date_unknown,effective_date_text,notified_on,processed_at,source,cancels,head_subject_id,members_subject_id,members_relationship,member_count}', '{header.municipality_code,header.subject_id,header.version,header.event_id,header.event_type,header.nature,header.change_id,header.change_size,header.change_index,header.reason,header.effective_date.date,header.effective_date.unknown,header.effective_date.text,header.notified_on,header.processed_at,header.source,header.cancels,head_subject_id,members.subject_id,members.relationship,member_count}', '{市区町村コード,世帯番号,履歴番号,イベントID,イベント種別,異動区分,異動ID,異動内件数,異動内連番,異動事由,異動日,異動日_不詳フラグ,異動日_不詳表記,届出日,処理日時,発生元システム,取消対象イベントID,世帯主_宛名番号,世帯員_宛名番号,世帯員_続柄,世帯員数}', '{plain,personal,plain,plain,plain,plain,plain,plain,plain,personal,personal,personal,personal,personal,plain,plain,plain,personal,personal,personal,personal}', '{"","","","","","","","","","","","","","","","","","","","",""}', '{household.changed}', '{}', 'withhold', 'auto_apply', '児童手当法、個人情報の保護に関する法律第69条', '', '受給者と児童の同一世帯・監護関係の確認', '個人情報保護管理者（総務部長）', '2026-04-01', '2029-03-31', '{"columns":[["municipality_code","header.municipality_code","string","plain",false,null],["subject_id","header.subject_id","string","personal",false,null],["version","header.version","int32","plain",false,null],["event_id","header.event_id","string","plain",false,null],["event_type","header.event_type","string","plain",false,null],["nature","header.nature","string","plain",false,null],["change_id","header.change_id","string","plain",false,null],["change_size","header.change_size","int32","plain",false,null],["change_index","header.change_index","int32","plain",false,null],["reason","header.reason","string","personal",true,null],["effective_date","header.effective_date.date","date32[day]","personal",true,null],["effective_date_unknown","header.effective_date.unknown","bool","personal",false,null],["effective_date_text","header.effective_date.text","string","personal",true,null],["notified_on","header.notified_on","date32[day]","personal",true,null],["processed_at","header.processed_at","timestamp[us, tz=UTC]","plain",false,null],["source","header.source","string","plain",false,null],["cancels","header.cancels","string","plain",true,null],["head_subject_id","head_subject_id","string","personal",true,null],["members_subject_id","members.subject_id","list<item: string>","personal",false,null],["members_relationship","members.relationship","list<item: string>","personal",false,null],["member_count","member_count","int32","personal",false,null]],"conditions":[],"event_types":["household.changed"],"ground":{"approved_on":"2026-04-01","approver":"個人情報保護管理者（総務部長）","expires_on":"2029-03-31","legal_basis":"児童手当法、個人情報の保護に関する法律第69条","number_use":"","purpose":"受給者と児童の同一世帯・監護関係の確認"},"keeping":"state","located":[],"mode":"auto_apply","schema":"5fcf1dab1fb0e7d28111c7ba992d5248937b1be65b0e7e4f8940b8e16b22b2b6","stream":"household","suppression":"withhold","system":"child_allowance"}', 0, 2, '2026-11-30 12:20:32.603572+00');


--
-- Data for Name: pruned; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: pruned_event; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: pruned_head; Type: TABLE DATA; Schema: ledger; Owner: -
--



--
-- Data for Name: household; Type: TABLE DATA; Schema: linkage; Owner: -
--

INSERT INTO linkage.household VALUES ('131016', '000000000000001', 1, '378649db-089d-5cb1-8acd-6668e3fa23b6', 'household.changed', 'CHANGE', '378649db-089d-5cb1-8acd-6668e3fa23b6', 1, 0, NULL, NULL, false, NULL, NULL, '2026-11-24 00:00:00+00', 'resident_registry', NULL, '000000012345674', '{000000012345674,123456789012340}', '{02,20}', 2, '2026-11-30 12:20:30.244493+00');


--
-- Data for Name: protection; Type: TABLE DATA; Schema: linkage; Owner: -
--

INSERT INTO linkage.protection VALUES ('131016', '000000000000002', 1, '7b9cc9f2-0f6e-5a29-bffe-37b5b7dea1c6', 'protection.started', 'CHANGE', '7b9cc9f2-0f6e-5a29-bffe-37b5b7dea1c6', 1, 0, NULL, NULL, false, NULL, NULL, '2026-11-24 00:00:00+00', 'resident_registry', NULL, 'ACTIVE', '{CURRENT_ADDRESS}', '2026-11-30 12:20:29.784593+00');


--
-- Data for Name: renkei_fence; Type: TABLE DATA; Schema: linkage; Owner: -
--

INSERT INTO linkage.renkei_fence VALUES (true, 'memory', '{"household/0": 1, "protection/0": 1, "nonresident/0": 0}');


--
-- Data for Name: renkei_position; Type: TABLE DATA; Schema: linkage; Owner: -
--

INSERT INTO linkage.renkei_position VALUES ('protection', 0, 'memory', 'linkage.protection', 1, '7b9cc9f2-0f6e-5a29-bffe-37b5b7dea1c6', '{"end": 1, "rows": 1, "view": "20a813a6df40561b2791874bd8f2a01a1ce29ad7a8ffc991597390673fcedc7d", "proof": "town:546116a58eb1b7bc223b352c590e2a286f77e7e285b573a4848a65db75a74fc8", "start": 0, "digest": "hmac-sha256:town:f77e848f812895a91631a1b92416b4887932d2a23b8818582629f137f944d711", "stream": "protection", "system": "child_allowance", "previous": "0000000000000000000000000000000000000000000000000000000000000000", "delivered": "{[0,1)}", "partition": 0}', '2026-11-30 12:20:29.784593+00');
INSERT INTO linkage.renkei_position VALUES ('resident', 0, 'memory', 'linkage.resident', 7, NULL, '{"end": 7, "rows": 0, "view": "5bf51f5f235b17d887cd57964c891d709c59fe1ff6db670bb10e189457275735", "proof": "town:0dcbd6fd5573a51beb2c22f1d2687f77ac6cdf6e3029f6162fc47d33ac83d037", "start": 6, "digest": "hmac-sha256:town:b6b68748a2550eca843092a91e71592c1510834bfa7089c65d09cda3e5ebd6df", "stream": "resident", "system": "child_allowance", "previous": "6152e468c420e1c3565322daa78226585295b96a1150991f1caf8b05105dfee8", "delivered": "{}", "partition": 0}', '2026-11-30 12:20:30.195187+00');
INSERT INTO linkage.renkei_position VALUES ('household', 0, 'memory', 'linkage.household', 1, '378649db-089d-5cb1-8acd-6668e3fa23b6', '{"end": 1, "rows": 1, "view": "df1916b70804694f74cedd754786a633bba917e051a4ec2930b578f9a92b2969", "proof": "town:704c3715e0e22c932ca6b25cb2170d68c3d659ef6d742daa193694a9c4689721", "start": 0, "digest": "hmac-sha256:town:84b2e59e78b081b0697f1aaf9b51b4acb2152a80dd20a5f65d9c9e7edfc63c06", "stream": "household", "system": "child_allowance", "previous": "0000000000000000000000000000000000000000000000000000000000000000", "delivered": "{[0,1)}", "partition": 0}', '2026-11-30 12:20:30.244493+00');


--
-- Data for Name: renkei_restore; Type: TABLE DATA; Schema: linkage; Owner: -
--



--
-- Data for Name: renkei_view; Type: TABLE DATA; Schema: linkage; Owner: -
--

INSERT INTO linkage.renkei_view VALUES ('protection', '20a813a6df40561b2791874bd8f2a01a1ce29ad7a8ffc991597390673fcedc7d', 0, '{"columns": {"nature": "string", "reason": "string", "source": "string", "status": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "subject_id": "string", "suppresses": "list<item: string>", "change_size": "int32", "notified_on": "date32[day]", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "effective_date": "date32[day]", "municipality_code": "string", "effective_date_text": "string", "effective_date_unknown": "bool"}, "edition": 0, "locations": [], "conditions": [], "event_types": ["protection.ended", "protection.extended", "protection.started"], "fingerprint": "20a813a6df40561b2791874bd8f2a01a1ce29ad7a8ffc991597390673fcedc7d", "suppression": "withhold"}', '2026-11-30 12:20:29.635835+00');
INSERT INTO linkage.renkei_view VALUES ('resident', '5bf51f5f235b17d887cd57964c891d709c59fe1ff6db670bb10e189457275735', 0, '{"columns": {"nature": "string", "reason": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "name_full": "string", "name_kana": "string", "protected": "bool", "birth_date": "date32[day]", "event_type": "string", "name_alias": "string", "subject_id": "string", "address_lot": "string", "change_size": "int32", "notified_on": "date32[day]", "address_town": "string", "change_index": "int32", "processed_at": "timestamp[us, tz=UTC]", "relationship": "string", "resident_kind": "string", "effective_date": "date32[day]", "resident_state": "string", "birth_date_text": "string", "name_alias_kana": "string", "address_building": "string", "household_number": "string", "address_town_code": "string", "municipality_code": "string", "address_prefecture": "string", "became_resident_on": "date32[day]", "birth_date_unknown": "bool", "address_postal_code": "string", "effective_date_text": "string", "address_municipality": "string", "address_building_kana": "string", "effective_date_unknown": "bool", "became_resident_on_text": "string", "address_municipality_code": "string", "became_resident_on_unknown": "bool"}, "edition": 0, "locations": ["address_municipality_code", "address_town_code", "address_prefecture", "address_municipality", "address_town", "address_lot", "address_building", "address_building_kana", "address_postal_code"], "conditions": [], "event_types": ["resident.address_changed", "resident.born", "resident.change_cancelled", "resident.corrected", "resident.died", "resident.move_out_filed", "resident.moved_in", "resident.moved_out", "resident.name_changed", "resident.registered_ex_officio", "resident.reissued", "resident.removed_ex_officio"], "fingerprint": "5bf51f5f235b17d887cd57964c891d709c59fe1ff6db670bb10e189457275735", "suppression": "withhold"}', '2026-11-30 12:20:29.888754+00');
INSERT INTO linkage.renkei_view VALUES ('household', 'df1916b70804694f74cedd754786a633bba917e051a4ec2930b578f9a92b2969', 0, '{"columns": {"nature": "string", "reason": "string", "source": "string", "cancels": "string", "version": "int32", "event_id": "string", "change_id": "string", "event_type": "string", "subject_id": "string", "change_size": "int32", "notified_on": "date32[day]", "change_index": "int32", "member_count": "int32", "processed_at": "timestamp[us, tz=UTC]", "effective_date": "date32[day]", "head_subject_id": "string", "municipality_code": "string", "members_subject_id": "list<item: string>", "effective_date_text": "string", "members_relationship": "list<item: string>", "effective_date_unknown": "bool"}, "edition": 0, "locations": [], "conditions": [], "event_types": ["household.changed"], "fingerprint": "df1916b70804694f74cedd754786a633bba917e051a4ec2930b578f9a92b2969", "suppression": "withhold"}', '2026-11-30 12:20:30.135115+00');


--
-- Data for Name: renkei_withheld; Type: TABLE DATA; Schema: linkage; Owner: -
--

INSERT INTO linkage.renkei_withheld VALUES ('"linkage"."resident"', 'protected', '{address_building,address_building_kana,address_lot,address_municipality,address_municipality_code,address_postal_code,address_prefecture,address_town,address_town_code}', '{subject_id}', '{household_number}', '{"as_of": {"household/0": 1, "protection/0": 1, "nonresident/0": 0}}');


--
-- Data for Name: resident; Type: TABLE DATA; Schema: linkage; Owner: -
--

INSERT INTO linkage.resident VALUES ('131016', '000000000000001', 1, 'abf58324-bce6-5740-a301-b05f56b7bdd6', 'resident.address_changed', 'CHANGE', 'abf58324-bce6-5740-a301-b05f56b7bdd6', 1, 0, NULL, NULL, false, NULL, NULL, '2026-11-24 00:00:00+00', 'resident_registry', NULL, false, '000000012345674', '辻󠄀　花子', 'ツジ　ハナコ', NULL, NULL, '1980-02-29', false, NULL, '1', '1', '02', '131016', '0002002', '東京都', '千代田区', '霞が関二丁目', '１番２号', NULL, NULL, '1000013', NULL, NULL, NULL, '2026-11-30 12:20:30.124097+00');
INSERT INTO linkage.resident VALUES ('131016', '000000000000004', 1, 'ec317c1e-71c2-59b8-850a-c14fc4bce0e4', 'resident.address_changed', 'CHANGE', 'ec317c1e-71c2-59b8-850a-c14fc4bce0e4', 1, 0, NULL, NULL, false, NULL, NULL, '2026-11-24 00:00:00+00', 'resident_registry', NULL, false, '000000012345674', '辻󠄀　花子', 'ツジ　ハナコ', NULL, NULL, '1980-02-29', false, NULL, '1', '1', '02', '131016', '0002002', '東京都', '千代田区', '霞が関二丁目', '１番２号', NULL, NULL, '1000013', NULL, NULL, NULL, '2026-11-30 12:20:30.124097+00');
INSERT INTO linkage.resident VALUES ('131016', '000000000000002', 2, '381e187a-ff01-5868-b034-a00df484a285', 'resident.address_changed', 'CHANGE', '381e187a-ff01-5868-b034-a00df484a285', 1, 0, NULL, NULL, false, NULL, NULL, '2026-11-24 00:00:00+00', 'resident_registry', NULL, true, '000000012345674', '辻󠄀　花子', 'ツジ　ハナコ', NULL, NULL, '1980-02-29', false, NULL, '1', '1', '02', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-30 12:20:30.124097+00');


--
-- Name: event_application_received event_application_received_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_application_received
    ADD CONSTRAINT event_application_received_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_calendar_milestone event_calendar_milestone_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_calendar_milestone
    ADD CONSTRAINT event_calendar_milestone_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_child_allowance_receipt event_child_allowance_receipt_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_child_allowance_receipt
    ADD CONSTRAINT event_child_allowance_receipt_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_child_childcare_support_certification event_child_childcare_support_certification_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_child_childcare_support_certification
    ADD CONSTRAINT event_child_childcare_support_certification_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_child_rearing_allowance_receipt event_child_rearing_allowance_receipt_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_child_rearing_allowance_receipt
    ADD CONSTRAINT event_child_rearing_allowance_receipt_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_corporate_resident_tax_levy event_corporate_resident_tax_levy_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_corporate_resident_tax_levy
    ADD CONSTRAINT event_corporate_resident_tax_levy_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_custody event_custody_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_custody
    ADD CONSTRAINT event_custody_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_disability_welfare_certificate event_disability_welfare_certificate_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_disability_welfare_certificate
    ADD CONSTRAINT event_disability_welfare_certificate_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_electoral_roll_registration event_electoral_roll_registration_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_electoral_roll_registration
    ADD CONSTRAINT event_electoral_roll_registration_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_erasure event_erasure_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_erasure
    ADD CONSTRAINT event_erasure_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_exception event_exception_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_exception
    ADD CONSTRAINT event_exception_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_fixed_asset_tax_levy event_fixed_asset_tax_levy_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_fixed_asset_tax_levy
    ADD CONSTRAINT event_fixed_asset_tax_levy_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_health_management_vaccination event_health_management_vaccination_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_health_management_vaccination
    ADD CONSTRAINT event_health_management_vaccination_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_household event_household_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_household
    ADD CONSTRAINT event_household_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_individual_number event_individual_number_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_individual_number
    ADD CONSTRAINT event_individual_number_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_individual_resident_tax_assessment event_individual_resident_tax_assessment_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_individual_resident_tax_assessment
    ADD CONSTRAINT event_individual_resident_tax_assessment_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_late_elderly_medical_qualification event_late_elderly_medical_qualification_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_late_elderly_medical_qualification
    ADD CONSTRAINT event_late_elderly_medical_qualification_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_light_vehicle_tax_vehicle event_light_vehicle_tax_vehicle_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_light_vehicle_tax_vehicle
    ADD CONSTRAINT event_light_vehicle_tax_vehicle_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_long_term_care_insurance_care_level event_long_term_care_insurance_care_level_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_long_term_care_insurance_care_level
    ADD CONSTRAINT event_long_term_care_insurance_care_level_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_long_term_care_insurance_qualification event_long_term_care_insurance_qualification_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_long_term_care_insurance_qualification
    ADD CONSTRAINT event_long_term_care_insurance_qualification_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_national_health_insurance_qualification event_national_health_insurance_qualification_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_national_health_insurance_qualification
    ADD CONSTRAINT event_national_health_insurance_qualification_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_national_pension_qualification event_national_pension_qualification_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_national_pension_qualification
    ADD CONSTRAINT event_national_pension_qualification_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_nonresident event_nonresident_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_nonresident
    ADD CONSTRAINT event_nonresident_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_operation event_operation_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_operation
    ADD CONSTRAINT event_operation_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_protection event_protection_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_protection
    ADD CONSTRAINT event_protection_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_public_assistance_receipt event_public_assistance_receipt_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_public_assistance_receipt
    ADD CONSTRAINT event_public_assistance_receipt_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_receipt event_receipt_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_receipt
    ADD CONSTRAINT event_receipt_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_renkei_position event_renkei_position_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_renkei_position
    ADD CONSTRAINT event_renkei_position_pkey PRIMARY KEY (stream, partition);


--
-- Name: event_renkei_view event_renkei_view_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_renkei_view
    ADD CONSTRAINT event_renkei_view_pkey PRIMARY KEY (stream);


--
-- Name: event_resident event_resident_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_resident
    ADD CONSTRAINT event_resident_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_school_enrollment_enrollment event_school_enrollment_enrollment_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_school_enrollment_enrollment
    ADD CONSTRAINT event_school_enrollment_enrollment_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_subscription event_subscription_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_subscription
    ADD CONSTRAINT event_subscription_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: event_view event_view_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.event_view
    ADD CONSTRAINT event_view_pkey PRIMARY KEY (log_partition, log_offset);


--
-- Name: pruned_event pruned_event_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.pruned_event
    ADD CONSTRAINT pruned_event_pkey PRIMARY KEY (stream, partition);


--
-- Name: pruned_head pruned_head_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.pruned_head
    ADD CONSTRAINT pruned_head_pkey PRIMARY KEY (system, stream, partition, chain);


--
-- Name: pruned pruned_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.pruned
    ADD CONSTRAINT pruned_pkey PRIMARY KEY (log_partition);


--
-- Name: household household_pkey; Type: CONSTRAINT; Schema: linkage; Owner: -
--

ALTER TABLE ONLY linkage.household
    ADD CONSTRAINT household_pkey PRIMARY KEY (municipality_code, subject_id);


--
-- Name: protection protection_pkey; Type: CONSTRAINT; Schema: linkage; Owner: -
--

ALTER TABLE ONLY linkage.protection
    ADD CONSTRAINT protection_pkey PRIMARY KEY (municipality_code, subject_id);


--
-- Name: renkei_fence renkei_fence_pkey; Type: CONSTRAINT; Schema: linkage; Owner: -
--

ALTER TABLE ONLY linkage.renkei_fence
    ADD CONSTRAINT renkei_fence_pkey PRIMARY KEY (is_only);


--
-- Name: renkei_position renkei_position_pkey; Type: CONSTRAINT; Schema: linkage; Owner: -
--

ALTER TABLE ONLY linkage.renkei_position
    ADD CONSTRAINT renkei_position_pkey PRIMARY KEY (stream, partition);


--
-- Name: renkei_restore renkei_restore_pkey; Type: CONSTRAINT; Schema: linkage; Owner: -
--

ALTER TABLE ONLY linkage.renkei_restore
    ADD CONSTRAINT renkei_restore_pkey PRIMARY KEY (relation, municipality_code, subject_id);


--
-- Name: renkei_view renkei_view_pkey; Type: CONSTRAINT; Schema: linkage; Owner: -
--

ALTER TABLE ONLY linkage.renkei_view
    ADD CONSTRAINT renkei_view_pkey PRIMARY KEY (stream);


--
-- Name: renkei_withheld renkei_withheld_pkey; Type: CONSTRAINT; Schema: linkage; Owner: -
--

ALTER TABLE ONLY linkage.renkei_withheld
    ADD CONSTRAINT renkei_withheld_pkey PRIMARY KEY (relation);


--
-- Name: resident resident_pkey; Type: CONSTRAINT; Schema: linkage; Owner: -
--

ALTER TABLE ONLY linkage.resident
    ADD CONSTRAINT resident_pkey PRIMARY KEY (municipality_code, subject_id);


--
-- Name: event_application_received_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_application_received_change ON ledger.event_application_received USING btree (change_id);


--
-- Name: event_application_received_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_application_received_prefix ON ledger.event_application_received USING btree (subject_id text_pattern_ops);


--
-- Name: event_application_received_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_application_received_subject ON ledger.event_application_received USING btree (subject_id, version);


--
-- Name: event_calendar_milestone_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_calendar_milestone_change ON ledger.event_calendar_milestone USING btree (change_id);


--
-- Name: event_calendar_milestone_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_calendar_milestone_prefix ON ledger.event_calendar_milestone USING btree (subject_id text_pattern_ops);


--
-- Name: event_calendar_milestone_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_calendar_milestone_subject ON ledger.event_calendar_milestone USING btree (subject_id, version);


--
-- Name: event_child_allowance_receipt_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_child_allowance_receipt_change ON ledger.event_child_allowance_receipt USING btree (change_id);


--
-- Name: event_child_allowance_receipt_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_child_allowance_receipt_prefix ON ledger.event_child_allowance_receipt USING btree (subject_id text_pattern_ops);


--
-- Name: event_child_allowance_receipt_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_child_allowance_receipt_subject ON ledger.event_child_allowance_receipt USING btree (subject_id, version);


--
-- Name: event_child_childcare_support_certification_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_child_childcare_support_certification_change ON ledger.event_child_childcare_support_certification USING btree (change_id);


--
-- Name: event_child_childcare_support_certification_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_child_childcare_support_certification_prefix ON ledger.event_child_childcare_support_certification USING btree (subject_id text_pattern_ops);


--
-- Name: event_child_childcare_support_certification_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_child_childcare_support_certification_subject ON ledger.event_child_childcare_support_certification USING btree (subject_id, version);


--
-- Name: event_child_rearing_allowance_receipt_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_child_rearing_allowance_receipt_change ON ledger.event_child_rearing_allowance_receipt USING btree (change_id);


--
-- Name: event_child_rearing_allowance_receipt_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_child_rearing_allowance_receipt_prefix ON ledger.event_child_rearing_allowance_receipt USING btree (subject_id text_pattern_ops);


--
-- Name: event_child_rearing_allowance_receipt_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_child_rearing_allowance_receipt_subject ON ledger.event_child_rearing_allowance_receipt USING btree (subject_id, version);


--
-- Name: event_corporate_resident_tax_levy_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_corporate_resident_tax_levy_change ON ledger.event_corporate_resident_tax_levy USING btree (change_id);


--
-- Name: event_corporate_resident_tax_levy_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_corporate_resident_tax_levy_prefix ON ledger.event_corporate_resident_tax_levy USING btree (subject_id text_pattern_ops);


--
-- Name: event_corporate_resident_tax_levy_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_corporate_resident_tax_levy_subject ON ledger.event_corporate_resident_tax_levy USING btree (subject_id, version);


--
-- Name: event_disability_welfare_certificate_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_disability_welfare_certificate_change ON ledger.event_disability_welfare_certificate USING btree (change_id);


--
-- Name: event_disability_welfare_certificate_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_disability_welfare_certificate_prefix ON ledger.event_disability_welfare_certificate USING btree (subject_id text_pattern_ops);


--
-- Name: event_disability_welfare_certificate_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_disability_welfare_certificate_subject ON ledger.event_disability_welfare_certificate USING btree (subject_id, version);


--
-- Name: event_electoral_roll_registration_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_electoral_roll_registration_change ON ledger.event_electoral_roll_registration USING btree (change_id);


--
-- Name: event_electoral_roll_registration_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_electoral_roll_registration_prefix ON ledger.event_electoral_roll_registration USING btree (subject_id text_pattern_ops);


--
-- Name: event_electoral_roll_registration_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_electoral_roll_registration_subject ON ledger.event_electoral_roll_registration USING btree (subject_id, version);


--
-- Name: event_fixed_asset_tax_levy_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_fixed_asset_tax_levy_change ON ledger.event_fixed_asset_tax_levy USING btree (change_id);


--
-- Name: event_fixed_asset_tax_levy_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_fixed_asset_tax_levy_prefix ON ledger.event_fixed_asset_tax_levy USING btree (subject_id text_pattern_ops);


--
-- Name: event_fixed_asset_tax_levy_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_fixed_asset_tax_levy_subject ON ledger.event_fixed_asset_tax_levy USING btree (subject_id, version);


--
-- Name: event_health_management_vaccination_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_health_management_vaccination_change ON ledger.event_health_management_vaccination USING btree (change_id);


--
-- Name: event_health_management_vaccination_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_health_management_vaccination_prefix ON ledger.event_health_management_vaccination USING btree (subject_id text_pattern_ops);


--
-- Name: event_health_management_vaccination_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_health_management_vaccination_subject ON ledger.event_health_management_vaccination USING btree (subject_id, version);


--
-- Name: event_household_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_household_change ON ledger.event_household USING btree (change_id);


--
-- Name: event_household_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_household_prefix ON ledger.event_household USING btree (subject_id text_pattern_ops);


--
-- Name: event_household_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_household_subject ON ledger.event_household USING btree (subject_id, version);


--
-- Name: event_individual_number_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_individual_number_change ON ledger.event_individual_number USING btree (change_id);


--
-- Name: event_individual_number_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_individual_number_prefix ON ledger.event_individual_number USING btree (subject_id text_pattern_ops);


--
-- Name: event_individual_number_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_individual_number_subject ON ledger.event_individual_number USING btree (subject_id, version);


--
-- Name: event_individual_resident_tax_assessment_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_individual_resident_tax_assessment_change ON ledger.event_individual_resident_tax_assessment USING btree (change_id);


--
-- Name: event_individual_resident_tax_assessment_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_individual_resident_tax_assessment_prefix ON ledger.event_individual_resident_tax_assessment USING btree (subject_id text_pattern_ops);


--
-- Name: event_individual_resident_tax_assessment_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_individual_resident_tax_assessment_subject ON ledger.event_individual_resident_tax_assessment USING btree (subject_id, version);


--
-- Name: event_late_elderly_medical_qualification_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_late_elderly_medical_qualification_change ON ledger.event_late_elderly_medical_qualification USING btree (change_id);


--
-- Name: event_late_elderly_medical_qualification_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_late_elderly_medical_qualification_prefix ON ledger.event_late_elderly_medical_qualification USING btree (subject_id text_pattern_ops);


--
-- Name: event_late_elderly_medical_qualification_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_late_elderly_medical_qualification_subject ON ledger.event_late_elderly_medical_qualification USING btree (subject_id, version);


--
-- Name: event_light_vehicle_tax_vehicle_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_light_vehicle_tax_vehicle_change ON ledger.event_light_vehicle_tax_vehicle USING btree (change_id);


--
-- Name: event_light_vehicle_tax_vehicle_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_light_vehicle_tax_vehicle_prefix ON ledger.event_light_vehicle_tax_vehicle USING btree (subject_id text_pattern_ops);


--
-- Name: event_light_vehicle_tax_vehicle_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_light_vehicle_tax_vehicle_subject ON ledger.event_light_vehicle_tax_vehicle USING btree (subject_id, version);


--
-- Name: event_long_term_care_insurance_care_level_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_long_term_care_insurance_care_level_change ON ledger.event_long_term_care_insurance_care_level USING btree (change_id);


--
-- Name: event_long_term_care_insurance_care_level_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_long_term_care_insurance_care_level_prefix ON ledger.event_long_term_care_insurance_care_level USING btree (subject_id text_pattern_ops);


--
-- Name: event_long_term_care_insurance_care_level_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_long_term_care_insurance_care_level_subject ON ledger.event_long_term_care_insurance_care_level USING btree (subject_id, version);


--
-- Name: event_long_term_care_insurance_qualification_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_long_term_care_insurance_qualification_change ON ledger.event_long_term_care_insurance_qualification USING btree (change_id);


--
-- Name: event_long_term_care_insurance_qualification_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_long_term_care_insurance_qualification_prefix ON ledger.event_long_term_care_insurance_qualification USING btree (subject_id text_pattern_ops);


--
-- Name: event_long_term_care_insurance_qualification_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_long_term_care_insurance_qualification_subject ON ledger.event_long_term_care_insurance_qualification USING btree (subject_id, version);


--
-- Name: event_national_health_insurance_qualification_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_national_health_insurance_qualification_change ON ledger.event_national_health_insurance_qualification USING btree (change_id);


--
-- Name: event_national_health_insurance_qualification_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_national_health_insurance_qualification_prefix ON ledger.event_national_health_insurance_qualification USING btree (subject_id text_pattern_ops);


--
-- Name: event_national_health_insurance_qualification_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_national_health_insurance_qualification_subject ON ledger.event_national_health_insurance_qualification USING btree (subject_id, version);


--
-- Name: event_national_pension_qualification_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_national_pension_qualification_change ON ledger.event_national_pension_qualification USING btree (change_id);


--
-- Name: event_national_pension_qualification_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_national_pension_qualification_prefix ON ledger.event_national_pension_qualification USING btree (subject_id text_pattern_ops);


--
-- Name: event_national_pension_qualification_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_national_pension_qualification_subject ON ledger.event_national_pension_qualification USING btree (subject_id, version);


--
-- Name: event_nonresident_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_nonresident_change ON ledger.event_nonresident USING btree (change_id);


--
-- Name: event_nonresident_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_nonresident_prefix ON ledger.event_nonresident USING btree (subject_id text_pattern_ops);


--
-- Name: event_nonresident_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_nonresident_subject ON ledger.event_nonresident USING btree (subject_id, version);


--
-- Name: event_protection_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_protection_change ON ledger.event_protection USING btree (change_id);


--
-- Name: event_protection_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_protection_prefix ON ledger.event_protection USING btree (subject_id text_pattern_ops);


--
-- Name: event_protection_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_protection_subject ON ledger.event_protection USING btree (subject_id, version);


--
-- Name: event_public_assistance_receipt_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_public_assistance_receipt_change ON ledger.event_public_assistance_receipt USING btree (change_id);


--
-- Name: event_public_assistance_receipt_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_public_assistance_receipt_prefix ON ledger.event_public_assistance_receipt USING btree (subject_id text_pattern_ops);


--
-- Name: event_public_assistance_receipt_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_public_assistance_receipt_subject ON ledger.event_public_assistance_receipt USING btree (subject_id, version);


--
-- Name: event_resident_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_resident_change ON ledger.event_resident USING btree (change_id);


--
-- Name: event_resident_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_resident_prefix ON ledger.event_resident USING btree (subject_id text_pattern_ops);


--
-- Name: event_resident_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_resident_subject ON ledger.event_resident USING btree (subject_id, version);


--
-- Name: event_school_enrollment_enrollment_change; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_school_enrollment_enrollment_change ON ledger.event_school_enrollment_enrollment USING btree (change_id);


--
-- Name: event_school_enrollment_enrollment_prefix; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_school_enrollment_enrollment_prefix ON ledger.event_school_enrollment_enrollment USING btree (subject_id text_pattern_ops);


--
-- Name: event_school_enrollment_enrollment_subject; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX event_school_enrollment_enrollment_subject ON ledger.event_school_enrollment_enrollment USING btree (subject_id, version);


--
-- Name: exception_event; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX exception_event ON ledger.event_exception USING btree (system, stream, partition, "offset", log_offset);


--
-- Name: operation_newest; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX operation_newest ON ledger.event_operation USING btree (system, stream, partition, log_offset);


--
-- Name: receipt_applied_at; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX receipt_applied_at ON ledger.event_receipt USING btree (applied_at);


--
-- Name: receipt_delivered; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX receipt_delivered ON ledger.event_receipt USING btree (system, stream, partition, ledger.span_class(delivered), upper(delivered)) WHERE (NOT isempty(delivered));


--
-- Name: receipt_given; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX receipt_given ON ledger.event_receipt USING btree (system, applied_at) INCLUDE (stream, partition, start, "end", view, rows);


--
-- Name: receipt_lane; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX receipt_lane ON ledger.event_receipt USING btree (system, stream, partition, "end") WHERE (NOT is_replay);


--
-- Name: receipt_replay; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX receipt_replay ON ledger.event_receipt USING btree (system, stream, partition) WHERE is_replay;


--
-- Name: renkei_00d44d920df83f96; Type: INDEX; Schema: linkage; Owner: -
--

CREATE INDEX renkei_00d44d920df83f96 ON linkage.resident USING btree (municipality_code, subject_id) WHERE protected;


--
-- Name: renkei_06a57aa06aafdb6e; Type: INDEX; Schema: linkage; Owner: -
--

CREATE INDEX renkei_06a57aa06aafdb6e ON linkage.resident USING btree (municipality_code, household_number);


--
-- Name: renkei_43850a97c4a2854b; Type: INDEX; Schema: linkage; Owner: -
--

CREATE INDEX renkei_43850a97c4a2854b ON linkage.resident USING btree (municipality_code) WHERE ((ltrim(household_number, '0123456789'::text) <> ''::text) OR (length(household_number) > 15) OR ((ltrim(subject_id, '0123456789'::text) <> ''::text) OR (length(subject_id) > 15)));


--
-- PostgreSQL database dump complete
--

\unrestrict 32l4bghxjfpfEAJ1LqXafSm3zfGcsBdTewEndiqRbD4FVtUQiM3za4TFoDc6UKU


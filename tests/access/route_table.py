"""What every route answers to whom: the table that the matrix holds the hub to.

The columns are relations to one case and what hangs on it:

  F  a finder, whose finding it links (and whose lease it is)
  0  a coordinator read in to everything, who opened it
  1  its vendor, read in to its content
  2  an operator read in to prepare the fix (whose inventory it is)
  3  an operator who was given notice
  u  a coordinator of the same party who is not read in
  r  a coordinator who was read in and is recused
  x  a vendor whose reading in has expired
  s  a maintainer who is a stranger
  l  a lab that is a stranger
  p  a vendor read in to content whose agreement is suspended

  y  answered        + got past the object, and was answered or refused for another reason
  n  answered like what does not exist, byte for byte         d  refused whatever the object
  a  asked for a second person's approval, whether it exists or not

Nobody in the scene has a campaign, a lead, an action or a model that is tested: those rows show who is refused and who is told that
there is no such thing. A leaf of operator 2 is one of its own inventory.
"""

RELATIONS = "F0123urxslp"

OF_OBJECTS = """
GET  /parties/{party}/members                        y y n n n y y n n n n
POST /parties/{party}/members                        + + n n n + + n n n n
POST /parties/{party}/members/{member}/end           + + n n n + + n n n n
POST /parties/{party}/members/{member}/enrolment     + + n n n + + n n n n
POST /parties/{party}/tokens                         + + n n n + + n n n n
GET  /parties/{party}/tokens                         y + n n n + + n n n n
GET  /parties/{party}/providers                      y y n n n y y n n n n
POST /parties/{party}/providers                      d + d d d + + d d d d
POST /parties/{party}/providers/{provider}/removal   d + d d d + + d d d d
POST /agreements/{name}/parties/{party}/acts         d + d d d + + d d d d
GET  /contacts/{party}                               y y n n n y y n n n d
POST /invitations/{invitation}/revocation            + n n n n n n n n n n
POST /approvals/{approval}/approval                  d + d d d + + d d d d
POST /approvals/{approval}/refusal                   d + d d d + + d d d d
GET  /scanning/leases/{lease}                        y d d d d d d d d n d
POST /scanning/leases/{lease}/introduction           + d d d d d d d d n d
POST /scanning/attempts/{attempt}/introduction       n d d d d d d d d n d
GET  /scanning/queue/{place}                         y d d d d d d d d n d
POST /scanning/queue/{place}/leaving                 + d d d d d d d d n d
GET  /parties/{handle}/recipients                    y n n n n n n n n n d
POST /parties/recipients/{fingerprint}/withdrawal    + n + n n n n n n n n
GET  /cases/sealed/{case}                            y n y n n n n n n n d
POST /cases/sealed/{case}/letters                    + n + n n n n n n n d
GET  /cases/sealed/{case}/letters/{letter}           y n y n n n n n n n d
POST /scanning/leases/{lease}/heartbeat              + d d d d d d d d n d
POST /scanning/leases/{lease}/coverage               + d d d d d d d d n d
POST /scanning/leases/{lease}/release                + d d d d d d d d n d
POST /scanning/coverage/{coverage}/withdrawal        + d d d d d d d d n d
GET  /findings/submissions/{submission}              y y n d d n n n n n d
GET  /findings/submissions/{submission}/raw          y y n d d n n n n n d
GET  /findings/{finding}                             y y y d d n n n n n d
GET  /findings/{finding}/proof                       y y n d d n n n n n d
GET  /findings/{finding}/attachments/{number}        y y n d d n n n n n d
GET  /findings/{finding}/beside/{other}              d y d d d n n d d d d
POST /findings/{finding}/beside/{other}              d + d d d n n d d d d
POST /findings/matches/{assertion}/withdrawal        d n d d d n n d d d d
GET  /validation/{finding}                           y y y d d n n n n n d
GET  /validation/{finding}/evidence                  + + + d d n n n n n d
GET  /validation/{finding}/logs                      + + n d d n n n n n d
GET  /validation/{finding}/affected                  + + + d d n n n n n d
GET  /discovery/campaigns/{campaign}                 n d d d d d d d d n d
GET  /discovery/campaigns/{campaign}/crashes/{number} n d d d d d d d d n d
GET  /discovery/campaigns/{campaign}/corpus          n d d d d d d d d n d
POST /discovery/campaigns/{campaign}/stop            n d d d d d d d d n d
POST /discovery/campaigns/{campaign}/watch           n d d d d d d d d n d
POST /discovery/watches/{watch}/stop                 n d d d d d d d d n d
GET  /discovery/leads/{lead}                         n d d d d d d d d n d
POST /discovery/leads/{lead}/dismissal               n d d d d d d d d n d
POST /discovery/leads/{lead}/reopening               n d d d d d d d d n d
POST /discovery/leads/{lead}/proof                   n d d d d d d d d n d
GET  /evaluations/agreements/{agreement}             n d d d d d d d d n d
POST /evaluations/agreements/{agreement}/signature   n d d d d d d d d n d
POST /evaluations/agreements/{agreement}/state       n d d d d d d d d n d
GET  /evaluations/engagements/{engagement}           n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/acts      n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/release   n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/consents  n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/consents/taken-back n d d d d d d d d n d
GET  /evaluations/engagements/{engagement}/report    n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/plan      n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/draft     n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/reply     n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/final     n d d d d d d d d n d
GET  /evaluations/engagements/{engagement}/final     n d d d d d d d d n d
GET  /evaluations/engagements/{engagement}/papers    n d d d d d d d d n d
GET  /evaluations/papers/{paper}                     n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/findings          n d d d d d d d d n d
GET  /evaluations/engagements/{engagement}/findings          n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/safeguards        n d d d d d d d d n d
GET  /evaluations/engagements/{engagement}/safeguards        n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/safeguards/{safeguard}/steps n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/safeguards/{safeguard}/effort n d d d d d d d d n d
GET  /evaluations/engagements/{engagement}/decisions         n d d d d d d d d n d
GET  /evaluations/engagements/{engagement}/partners          n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/partners/{partner}/signature n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/partners/{partner}/end n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/departments       n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/requests          n d d d d d d d d n d
GET  /evaluations/engagements/{engagement}/requests          n d d d d d d d d n d
GET  /evaluations/engagements/{engagement}/duplicates        n d d d d d d d d n d
GET  /evaluations/engagements/{engagement}/burden            n d d d d d d d d n d
GET  /evaluations/engagements/{engagement}/gateway   n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/endpoint  n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/endpoint/withdrawal n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/switch    n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/canary    n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/grants    n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/grants/{grant}/token n d d d d d d d d n d
POST /evaluations/engagements/{engagement}/grants/{grant}/withdrawal n d d d d d d d d n d
GET  /evaluations/engagements/{engagement}/calls     n d d d d d d d d n d
GET  /cases/{case}                                   y y y y y n n n n n d
POST /cases/{case}/participants                      d + d d d n n d d d d
POST /cases/{case}/participants/end                  d + d d d n n d d d d
GET  /cases/{case}/readers                           y y y y y n n n n n d
POST /cases/{case}/recusals                          + + + + + n n n n n d
POST /cases/{case}/glass                             d a d d d a a d d d d
POST /cases/{case}/export                            d + d d d n n d d d d
POST /cases/{case}/report                            + + + + n n n n n n d
POST /cases/{case}/status                            + + + + n n n n n n d
GET  /cases/{case}/messages                          y y y n n n n n n n d
POST /cases/{case}/messages                          + + + n n n n n n n d
GET  /cases/{case}/contacts                          y y y y n n n n n n d
POST /cases/{case}/embargoes                         + + + + n n n n n n d
POST /cases/{case}/embargoes/{embargo}/acceptance    + + + + + n n n n n d
POST /cases/{case}/embargoes/{embargo}/refusal       + + + + + n n n n n d
POST /cases/{case}/termination                       + + + + n n n n n n d
POST /patches                                        + + + d d n n n n n d
GET  /patches                                        n + + d d n n n n n d
GET  /patches/{patch}                                n y y d d n n n n n d
GET  /patches/{patch}/diff                           n y y d d n n n n n d
GET  /patches/{patch}/evidence                       n + + d d n n n n n d
GET  /patches/{patch}/wheel                          n + + d d n n n n n d
POST /patches/{patch}/adoption                       n + + d d n n n n n d
POST /patches/{patch}/repeat                         n + + d d n n n n n d
POST /patches/{patch}/backports                      n + + d d n n n n n d
GET  /patches/{patch}/backports/{version}/diff       n + + d d n n n n n d
GET  /patches/{patch}/backports/{version}/evidence   n + + d d n n n n n d
POST /validation/{finding}/repeat                    + + + d d n n n n n d
GET  /ledger/leaves/{seq}/proof                      n + + n n n n n n n n
GET  /inventories/{inventory}                        d d d y n d d d d d d
POST /advisories                                     d + d d d n n d d d d
POST /advisories/{advisory}/draft                    d + d d d n n d d d d
GET  /advisories/{advisory}                          n y y y n n n n n n d
GET  /advisories/{advisory}/draft                    n y y y n n n n n n d
GET  /advisories/{advisory}/preview                  d y d d d n n d d d d
POST /remediation/advisories/{advisory}              d + d d d n n d d d d
GET  /remediation/advisories/{advisory}              d y d d d n n d d d d
GET  /remediation/actions/{action}                   d n d n n n n d d d d
POST /advisories/{advisory}/schedule                 d + d d d n n d d d d
POST /advisories/{advisory}/publication              d + d d d n n d d d d
GET  /scanning/authorisations/{authorisation}        n n n y n n n n n n d
GET  /scanning/live/leases/{live_lease}              y d d d d d d d d n d
POST /scanning/live/leases/{live_lease}/heartbeat    + d d d d d d d d n d
POST /scanning/live/leases/{live_lease}/passports    + d d d d d d d d n d
POST /scanning/live/leases/{live_lease}/release      + d d d d d d d d n d
POST /scanning/live/passports/{passport}/revocation  + n n + n n n n n n n
GET  /scanning/live/stops/{stop}                     n n n y n n n n n n n
POST /scanning/live/stops/{stop}/lifting             n n n + n n n n n n n
POST /scanning/live/notices/{notice}/acknowledgement + n n n n n n n n n n
POST /scanning/authorisations/{authorisation}/withdrawal n n n + n n n n n n n
GET  /scanning/authorisations/{authorisation}/told   n n n y n n n n n n n
POST /cases/{case}/closing                           d + d d d n n d d d d
"""

# Lists hold objects of the scene for these relations, and for the others are as on an empty hub.
# y: it holds some   n: it holds none   d: refused
LISTS = """
GET  /cases                    y y y y y n n n n n d
GET  /findings                 y y y d d n n n n n d
GET  /advisories               n y y y n n n n n n d
GET  /inventories              d d d y n d d d d d d
GET  /scanning/leases          y d d d d d d d d n d
GET  /scanning/queue           y d d d d d d d d n d
GET  /scanning/introductions   n d d d d d d d d n d
GET  /ledger/commitments       n d n d d d d n n n d
GET  /scanning/coverage        y d d d d d d d d n d
GET  /scanning/authorisations  n n n y n n n n n n d
GET  /scanning/live/leases     y d d d d d d d d n d
GET  /scanning/live/stops      n n n y n n n n n n n
GET  /scanning/live/notices    y n n n n n n n n n n
GET  /discovery/campaigns      n d d d d d d d d n d
GET  /discovery/watches        n d d d d d d d d n d
GET  /discovery/leads          n d d d d d d d d n d
GET  /evaluations/agreements   n d d d d d d d d n d
GET  /evaluations/engagements  n d d d d d d d d n d
GET  /remediation/actions      d n d n n n n d d d d
GET  /ledger/leaves            y y y y y y y y y y y
GET  /agreements/signed        y n y y y n n y y y y
GET  /agreements/standing      y y y y y y y y y y y
GET  /invitations              y n n n n n n n n n n
GET  /standing                 n y y n n y y n n n d
GET  /wishes                   n n y n n n n n n n d
"""

# Routes without an object that somebody else could own: what their permission says is all.
WITHOUT_OBJECT = """
POST /parties
POST /parties/recipients
GET  /parties/recipients
POST /cases/sealed
GET  /cases/sealed
GET  /parties
GET  /parties/self
GET  /parties/readings
POST /parties/keys
GET  /agreements
GET  /agreements/{name}
POST /agreements/{name}/versions
POST /agreements/{name}/acceptance
POST /agreements/{name}/acts
POST /contacts
POST /contacts/security-txt
POST /invitations
POST /invitations/redemptions
POST /standing/challenges
POST /standing/checks
POST /standing/confirmations
POST /standing/ends
POST /wishes
POST /wishes/withdrawals
GET  /approvals
POST /approvals
POST /account/enrolment
GET  /ledger/verification
POST /ledger/commitments
POST /catalogue/targets
GET  /catalogue/targets
POST /catalogue/vulnerabilities
GET  /catalogue/vulnerabilities
POST /catalogue/public
POST /catalogue/exploited
POST /scanning/leases
POST /scanning/checks
POST /scanning/revocations
GET  /scanning/coverage-sharing
POST /scanning/coverage-sharing
POST /scanning/coverage-map
POST /scanning/suggestions
POST /scanning/authorisations
POST /scanning/live/leases
POST /scanning/live/stops
POST /scanning/preemptions
POST /scanning/queue
POST /findings
POST /findings/bulk
GET  /findings/queue
GET  /findings/proposals
GET  /findings/known/keys
GET  /findings/known/rooms/{epoch}/{room}
POST /findings/known/questions
POST /findings/known/claims
GET  /findings/reviews
POST /discovery/campaigns
POST /cases
POST /inventories
GET  /inventories/sharing
POST /inventories/sharing
POST /remediation/receipts
POST /evaluations/agreements
POST /evaluations/engagements
POST /evaluations/decisions
POST /evaluations/partners
"""

# What belongs to one person. The columns are:
#
#   x  an admin of another party, in a session     k  a colleague who is no admin, in a session
#   a  an admin of the person's party, likewise    c  a coordinator, likewise
#   t  the person, by a token                      o  the person, in a session
#
# and s says that it takes a session.
PEOPLE = "xkacto"

OF_PERSONS = """
POST /account/passkeys/{passkey}/name          n n n n s +
POST /account/passkeys/{passkey}/removal       n n n n s +
POST /account/sessions/{session}/end           n n n n s +
POST /account/identities/{identity}/removal    n n n n s +
POST /account/tokens/{token}/revocation        n d + n + +
POST /recoveries/{recovery}/veto               n n + + + +
POST /recoveries                               d d d + d d
POST /account/membership                       n n n n s +
"""

# y: holds something of that person   n: holds nothing of theirs
LISTS_OF_PERSONS = """
GET /account/session                           n n n n s y
GET /account/passkeys                          n n n n s y
GET /account/sessions                          n n n n s y
GET /account/identities                        n n n n s y
GET /account/tokens                            n n n n y y
GET /recoveries                                n n y y y y
"""

# Beside the API: y and n as above, of what the page shows; that somebody is being recovered, too.
PAGES = """
GET /account                                   n n y y s y
GET /confirm                                   n n n n s n
GET /recoveries                                d d d y s d
"""

# What it changes is the session that asks, or there is nothing yet.
OF_THE_SESSION = """
POST /account/confirmation/options
POST /account/confirmation
POST /account/passkeys/options
POST /account/passkeys
POST /account/identities
POST /account/sign-out
"""

# Answered to anybody, and to everybody alike.
PUBLIC_ROUTES = """
GET /
GET /.well-known/clearhold/scan-keys.json
GET /.well-known/clearhold/scan-status/{day}
POST /.well-known/clearhold/scan-check
GET /.well-known/csaf/
GET /.well-known/csaf/changes.csv
GET /.well-known/csaf/index.txt
GET /.well-known/csaf/provider-metadata.json
GET /.well-known/csaf/{year}/{name}.json
GET /.well-known/csaf/{year}/{name}.json.sha256
GET /.well-known/csaf/{year}/{name}.json.sha512
GET /assets/{name}
GET /enrol
GET /gateway/v1/models
GET /healthz
GET /log/checkpoint
GET /log/tile/{path:path}
GET /openapi.json
GET /osv/all.zip
GET /osv/modified_id.csv
GET /osv/{identity}.json
GET /sign-in
GET /sign-in/returned
GET /tuf/metadata/{path:path}
GET /tuf/targets/{path:path}
POST /enrol/options
POST /enrol/passkey
POST /enrol/token
POST /gateway/v1/chat/completions
POST /gateway/v1/messages
POST /sign-in/passkey
POST /sign-in/passkey/options
POST /sign-in/provider
"""

# The one route that calls tools, each of which has a row below in the columns of the relations.
TOOLS_ROUTE = "POST /mcp"

TOOLS_OF_OBJECTS = """
scan_renew            + d d d d d d d d n d
scan_queue_leave      + d d d d d d d d n d
scan_introduce        + d d d d d d d d n d
scan_release          + d d d d d d d d n d
scan_report_coverage  + d d d d d d d d n d
discovery_status      n d d d d d d d d n d
discovery_crash       n d d d d d d d d n d
discovery_stop        n d d d d d d d d n d
discovery_watch       n d d d d d d d d n d
discovery_unwatch     n d d d d d d d d n d
finding_receipt       y y n d d n n n n n d
finding_get           y y y d d n n n n n d
patch_submit          + + + d d n n n n n d
patch_get             n y y d d n n n n n d
lead_dismiss          n d d d d d d d d n d
lead_prove            n d d d d d d d d n d
"""

# y: it holds some   n: it holds none   d: refused
TOOLS_THAT_LIST = """
scan_queue_list       y d d d d d d d d n d
scan_introductions    n d d d d d d d d n d
scan_list             y d d d d d d d d n d
scan_coverage         y d d d d d d d d n d
discovery_list        n d d d d d d d d n d
discovery_watches     n d d d d d d d d n d
finding_list          y y y d d n n n n n d
patch_list            n y y d d n n n n n d
lead_list             n d d d d d d d d n d
scan_targets          n n n n n n n n n n d
"""

# What belongs to nobody yet: who may try it.   +: may   d: refused   i: may, and what it names is not
TOOLS_WITHOUT_OBJECT = """
discovery_begin       i d d d d d d d d i d
scan_check            + d d d d d d d d + d
scan_claim            + d d d d d d d d + d
scan_map              + d d d d d d d d + d
scan_next             + d d d d d d d d + d
scan_queue            + d d d d d d d d + d
finding_submit        + d d d d d d d d + d
"""

# Commands that ask no hub; every other one asks it over HTTP alone, by a route that stands above.
LOCAL_COMMANDS = """
serve
worker
doctor
discover harness
model serve
advisory check
ledger check
ledger key
ledger reveal
ledger verify
recipe list
recipe wheel
scan passport verify
agent enrol
agent inventory
agent key
agent sync
agent plan
agent apply
agent receipt
agent status
case sealed open
party identity
party open
admin keys status
admin keys rotate
admin keys resume
admin keys backup
admin keys forget
admin keys destroy-retired
admin keys expunge
validate versions
validate run
validate recipe new
validate run-step
validate enrol
validate worker
validate replay
validate key
patch judge
patch replay
patch backport
admin passport-keys status
admin passport-keys prepare
admin passport-keys switch
admin passport-keys drop
admin migrate
admin found
admin known rotate
admin known-half make
model agreement draft
model plan check
model plan draft
model run
model trials
model report words
model report render
model report verify
model report export
model suite list
model suite check
model suite seal
model suite unseal
model suite verify
model calls verify
admin known-half serve
"""

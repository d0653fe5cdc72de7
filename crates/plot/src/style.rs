//! The style sheet: colours by role, on light and on dark ground.

pub(crate) const SHEET: &str = "\
svg{--ground:#fff;--ink:#1f2933;--text:#1f2933;--soft:#6b7785;--grid:#e6eaee;--grey:#9aa5b1;--blue:#2563eb;--teal:#0d9488;\
--orange:#ea7317;--violet:#7c3aed;--red:#dc2626;font-family:Inter,'Helvetica Neue',Helvetica,Arial,sans-serif;font-size:12px}\
@media(prefers-color-scheme:dark){svg{--ground:#11161c;--ink:#e4e9ee;--text:#e4e9ee;--soft:#93a0ad;--grid:#252d36;--grey:#66717d;\
--blue:#60a5fa;--teal:#2dd4bf;--orange:#fb923c;--violet:#a78bfa;--red:#f87171}}\
.ground{fill:var(--ground)}text{fill:var(--soft)}\
.title{fill:var(--text);font-size:20px;font-weight:600}.subtitle{font-size:13px}\
.head{fill:var(--text);font-size:13px;font-weight:600}.end{text-anchor:end}.mid{text-anchor:middle}\
.grid{stroke:var(--grid);stroke-width:1}.base{stroke:var(--grey);stroke-width:1}\
.line,.bold,.dashed,.level{fill:none;stroke-width:1.25;stroke-linejoin:round;stroke-linecap:round}.bold{stroke-width:2.25}\
.dashed,.level{stroke-dasharray:4 4}\
.area{fill-opacity:.16}.band{fill-opacity:.22}.bar{fill-opacity:.75}\
path.ink,line.ink{stroke:var(--ink)}path.grey,line.grey{stroke:var(--grey)}path.blue,line.blue{stroke:var(--blue)}\
path.teal,line.teal{stroke:var(--teal)}path.orange,line.orange{stroke:var(--orange)}path.violet,line.violet{stroke:var(--violet)}\
path.red,line.red{stroke:var(--red)}\
.fill{stroke:none!important}.fill.ink{fill:var(--ink)}.fill.grey{fill:var(--grey)}.fill.blue{fill:var(--blue)}.fill.teal{fill:var(--teal)}\
.fill.orange{fill:var(--orange)}.fill.violet{fill:var(--violet)}.fill.red{fill:var(--red)}";

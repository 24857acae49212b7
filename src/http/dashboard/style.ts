/** The only style sheet that the content security policy admits. Text contrast is at least 4.5 to 1 in both schemes. */
export const style = `
:root{color-scheme:light dark;--bg:#f7f8fa;--card:#fff;--text:#1b2128;--quiet:#545e69;--line:#d5dae0;--link:#0a52b8;--button:#0a52b8;--on-button:#fff;
--good:#0b5d2a;--good-bg:#dcf5e3;--bad:#9c1226;--bad-bg:#fde8ea;--wait:#6b4700;--wait-bg:#fff1c9;--off:#434c56;--off-bg:#e9ecf0}
@media (prefers-color-scheme:dark){:root{--bg:#10151b;--card:#181f27;--text:#e4e9ef;--quiet:#a3adb9;--line:#333d48;--link:#86bcff;--button:#86bcff;--on-button:#0c1a2b;
--good:#86e0a2;--good-bg:#12301d;--bad:#ffa9af;--bad-bg:#3b161b;--wait:#f3cf72;--wait-bg:#33280c;--off:#c2cad3;--off-bg:#2a323b}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
a{color:var(--link)}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-999rem}
.skip:focus{left:1rem;top:.5rem;background:var(--card);padding:.3rem .6rem}
header{background:var(--card);border-bottom:1px solid var(--line)}
header>div,main,footer{max-width:80rem;margin:0 auto;padding:.6rem 1rem}
header>div{display:flex;flex-wrap:wrap;gap:.4rem 1.2rem;align-items:center}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem}
header nav{order:1;flex-basis:100%}
nav a{padding:.3rem 0;text-decoration:none}
nav a:hover{text-decoration:underline}
nav a[aria-current]{color:var(--text);font-weight:600;border-bottom:3px solid var(--link)}
.brand{font-weight:700;color:var(--text)}
.who{margin-left:auto;display:flex;gap:.8rem;align-items:center}
footer{color:var(--quiet);font-size:.85rem;border-top:1px solid var(--line);margin-top:2rem}
h1{font-size:1.45rem;line-height:1.25;margin:1rem 0 .5rem;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:2rem 0 .5rem}
h3{font-size:1rem;margin:0;overflow-wrap:anywhere}
p{margin:.4rem 0;max-width:52rem}
.lead{font-size:1.05rem}
.lead::first-letter{text-transform:uppercase}
.quiet{color:var(--quiet)}
code,pre{font:.9em/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
pre{white-space:pre-wrap;background:var(--off-bg);padding:.5rem .7rem;margin:.3rem 0;border-radius:4px;max-height:24rem;overflow:auto}
.badge{display:inline-block;padding:.05rem .5rem;border-radius:1rem;font-size:.85rem;font-weight:600;max-width:8rem;overflow-wrap:break-word;background:var(--off-bg);color:var(--off)}
.badge.good{background:var(--good-bg);color:var(--good)}
.badge.bad{background:var(--bad-bg);color:var(--bad)}
.badge.wait{background:var(--wait-bg);color:var(--wait)}
.live{float:right;display:flex;gap:.6rem;align-items:center;font-size:.85rem;color:var(--quiet);margin:.9rem 0 .3rem 1rem}
.live span::before{content:"";display:inline-block;width:.6rem;height:.6rem;border-radius:50%;background:var(--quiet);margin-right:.4rem}
.live[data-state=on] span::before{background:var(--good)}
.live button{min-height:0;padding:.1rem .5rem}
.notice{padding:.5rem .8rem;border-radius:4px;background:var(--good-bg);color:var(--good)}
.notice.bad{background:var(--bad-bg);color:var(--bad)}
dl{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.25rem 1.2rem;margin:.8rem 0;background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.7rem 1rem}
dt{color:var(--quiet)}
dd{margin:0;overflow-wrap:anywhere;min-width:0}
.tiles{display:flex;flex-wrap:wrap;gap:.8rem;background:none;border:0;padding:0}
.tiles div{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.5rem 1rem;flex:1 1 9rem}
.tiles dd{font-size:1.35rem;font-weight:600;margin:0}
.tiles .ago{font-weight:400}
.title-sid{font-size:clamp(.72rem,3.2vw,1.45rem)}
dd .sid{font-size:min(1rem,3.7vw)}
.picture{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.7rem 1rem}
.picture h3{margin-top:.8rem}
.lane{display:grid;grid-template-columns:15rem minmax(0,1fr);gap:.8rem;align-items:center;margin:.3rem 0}
.lane>svg{width:100%;height:1.5rem;display:block;overflow:visible}
.lane .times{margin-left:0;flex-wrap:wrap}
.cut{display:block;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.picture .legend{margin-left:0}
.picture .legend li::before{border-top-width:.8rem}
.is-none{fill:var(--off-bg)}.is-queued{fill:var(--quiet)}.is-calling{fill:var(--link)}.is-success{fill:var(--good)}.is-failure{fill:var(--bad)}.is-other{fill:var(--wait)}
.picture .legend .is-none::before{border-color:var(--off-bg)}.picture .legend .is-queued::before{border-color:var(--quiet)}.picture .legend .is-success::before{border-color:var(--good)}
.picture .legend .is-failure::before{border-color:var(--bad)}.picture .legend .is-other::before{border-color:var(--wait)}
.tick,.wait{fill:none;vector-effect:non-scaling-stroke}
.tick{stroke-width:3}.tick.good{stroke:var(--good)}.tick.bad{stroke:var(--bad);stroke-dasharray:4 3}
path.wait{stroke:var(--quiet);stroke-width:1}
.late{padding-left:1.2rem;margin:.3rem 0}
.late li{margin:.3rem 0}
.ranges{margin:1rem 0 .4rem}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,30rem),1fr));gap:.8rem}
.chart{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.7rem 1rem;margin:0;min-width:0}
.chart p{font-size:.9rem;color:var(--quiet);margin:.1rem 0 .6rem}
.plot{display:flex;gap:.5rem}
.plot svg{flex:1;min-width:0;height:8rem;display:block;overflow:visible}
.scale{display:flex;flex-direction:column;justify-content:space-between;text-align:right;flex:0 0 3.2rem}
.scale,.times,.legend{font-size:.8rem;color:var(--quiet)}
.times .ago{font-size:inherit}
.times{display:flex;justify-content:space-between;margin-left:3.7rem}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.1rem 1rem;padding:0;margin:.3rem 0 .3rem 3.7rem}
.legend li::before{content:"";display:inline-block;width:1.4rem;border-top:3px solid var(--link);vertical-align:middle;margin-right:.4rem}
.legend .s1::before{border-top-style:dashed;border-color:var(--wait)}
.grid,.line{fill:none;vector-effect:non-scaling-stroke}
.grid{stroke:var(--line);stroke-width:1}
.line{stroke:var(--link);stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.dot{stroke:var(--link);stroke-width:7;stroke-linecap:round;fill:none;vector-effect:non-scaling-stroke}
.dot.s1{stroke:var(--wait)}
.line.s1{stroke:var(--wait);stroke-dasharray:5 5}
.numbers{display:table;width:auto;font-size:.85rem;border:0}
.numbers caption{text-align:left;color:var(--quiet);padding:.2rem .7rem}
.numbers tr{display:table-row}
.numbers td,.numbers th{display:table-cell;padding:.15rem .7rem}
.numbers td{text-align:right}
.chart details{max-height:24rem;overflow:auto}
table{width:100%;border-collapse:collapse;background:var(--card);border:1px solid var(--line)}
th,td{text-align:left;vertical-align:top;padding:.45rem .7rem;border-top:1px solid var(--line);overflow-wrap:break-word;font-weight:400}
thead th{color:var(--quiet);font-size:.85rem;border-top:0}
time,.ago{white-space:nowrap}
.ago{color:var(--quiet);font-size:.85rem}
td .ago{display:block}
.long,bdi{overflow-wrap:anywhere}
.sid{display:inline-block;max-width:100%;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;vertical-align:bottom}
table .long{display:inline-block;min-width:11rem}
table .sid{font-size:.85rem;max-width:22rem}
a .long,a .sid{text-decoration:underline}
.cards{list-style:none;margin:0;padding:0}
.cards>li{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.7rem 1rem;margin:.6rem 0}
.cards .cards>li{background:none;border-width:0 0 0 3px;border-radius:0;padding:.1rem .8rem;margin:.6rem 0 0}
.line{display:flex;flex-wrap:wrap;gap:.2rem .8rem;align-items:baseline}
form{margin:0}
.actions{display:flex;flex-wrap:wrap;gap:.6rem;align-items:center;margin:.8rem 0}
.filter{display:flex;flex-wrap:wrap;gap:.6rem;align-items:end;margin:.8rem 0}
.filter div{display:flex;flex-direction:column}
.stacked{display:flex;flex-direction:column;gap:.5rem;max-width:26rem;margin:.8rem 0}
.stacked.wide{max-width:46rem}
.field{display:flex;flex-direction:column;gap:.2rem}
fieldset{border:1px solid var(--line);border-radius:6px;padding:.2rem .8rem .5rem;margin:0;min-width:0}
legend{font-weight:600;font-size:.9rem;padding:0 .3rem}
fieldset .check{margin:.3rem 0}
fieldset .field+.field,form>.field+button{margin-top:.5rem}
.fault{color:var(--bad);font-size:.9rem}
.fault p{margin:0}
.fault p::first-letter{text-transform:uppercase}
[aria-invalid]{border-color:var(--bad);box-shadow:0 0 0 1px var(--bad)}
.columns{display:grid;grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));gap:0 .6rem}
summary{color:var(--link);cursor:pointer;padding:.3rem 0}
details form{margin:.4rem 0}
.secret{font-size:1.05rem;user-select:all}
.notice p{margin:.2rem 0}
label{font-weight:600;font-size:.9rem}
.check{display:flex;gap:.5rem;align-items:baseline;margin:.6rem 0}
.check label{font-weight:400;font-size:1rem}
input,select,textarea,button{font:inherit;color:inherit;background:var(--card);border:1px solid var(--quiet);border-radius:4px;padding:.35rem .6rem;max-width:100%;min-height:2.4rem}
input[type=checkbox]{min-height:0}
textarea{font:.9em/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;resize:vertical}
button{background:var(--button);color:var(--on-button);border-color:var(--button);font-weight:600;cursor:pointer}
a.button{display:inline-block;background:var(--button);color:var(--on-button);border:1px solid var(--button);border-radius:4px;padding:.35rem .8rem;font-weight:600;text-decoration:none}
.heading{display:flex;flex-wrap:wrap;gap:.4rem 1rem;align-items:center;justify-content:space-between;margin:1rem 0 .5rem}
.heading h1{margin:0}
button.plain{background:var(--card);color:var(--link)}
button.danger{background:var(--bad);border-color:var(--bad);color:var(--card)}
@media (max-width:78rem){table .sid{max-width:14rem}}
@media (min-width:60rem){dl:not(.tiles){grid-template-columns:minmax(8rem,max-content) minmax(0,1fr) minmax(8rem,max-content) minmax(0,1fr)}}
@media (max-width:74.9rem){
.badge{max-width:100%}
thead{position:absolute;left:-999rem}
table,tbody,tr,td,tbody th{display:block}
table{border:0;background:none}
tr{background:var(--card);border:1px solid var(--line);border-radius:6px;margin:.6rem 0;padding:.3rem 0}
td,tbody th{border:0;padding:.2rem .8rem;display:flex;gap:.6rem}
td::before,tbody th::before{content:attr(data-label);flex:0 0 6rem;color:var(--quiet);font-size:.8rem;padding-top:.2rem}
td>div,th>div{min-width:0}
td .ago{display:inline}
td.none{display:none}
table .long{min-width:0}
table .sid{max-width:100%;font-size:min(.85rem,3.3vw)}
tbody th::before{display:none}
td:has(.sid){display:block}
}
@media (max-width:45rem){
.live{float:none;justify-content:flex-end;margin:0}
.lane{grid-template-columns:minmax(0,1fr);gap:.1rem}
.filter>div,.filter input,.filter select{width:100%}
dl{grid-template-columns:1fr;gap:0}
dd{margin-bottom:.5rem}
.who{font-size:.85rem;gap:.5rem}
.who button{min-height:0;padding:.2rem .5rem}
}
`.replaceAll("\n", "");
